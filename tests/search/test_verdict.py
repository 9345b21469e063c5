"""Words about standings; the sentences themselves are tested with the screen that shows them."""

import math
import subprocess
import sys

from search.verdict import run_names, shown_name, verdict_word
from tests.conftest import REPO
from tests.fake_search import completed, standing


def test_runs_of_one_id_are_told_apart(ledger):
    pair = completed(ledger, 0.001, 0.5, 0.9), completed(ledger, 0.002, 0.5, 0.8)
    both = [standing(rank, trial, 0.9, -0.01, 0.02, "", "tie") for rank, trial in enumerate(pair, 1)]
    assert run_names(both) == [f"m1s1k1_{trial.hash[:6]}" for trial in pair]
    assert run_names(both[:1]) == ["m1s1k1"]
    assert shown_name("m1s1k1_ab12cd") == "m1s1k1 (ab12cd)" and shown_name("m1s1k1") == "m1s1k1"


def test_a_row_without_proof_says_so(ledger):
    alone = standing(1, completed(ledger, 0.001, 0.5, 0.9), 0.9, math.nan, math.nan, "", "alone", proved=False)
    assert verdict_word(alone) == "alone, unproved"


def test_words_need_neither_torch_nor_ray():
    code = "import sys, search.verdict; sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO).returncode == 0
