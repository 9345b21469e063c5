"""Runs less others that lack a part: what is compared, and which runs may be."""

import sys

import pytest

from benchmarks import ablation
from ecggen.card import read_card
from ecggen.runs import run_and_keep
from tests.tiny import tiny_run

RUNS = {
    "first": {},
    "second": {"train__seed": 1},
    "guess": {"model__ttt__estimator": "amortised"},
    "other hearts": {"data__simulator__seed": 1},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return {
        name: run_and_keep(tiny_run(eval__split="val", **changes), "m1s1k1", results, quiet=True)
        for name, changes in RUNS.items()
    }


@pytest.fixture
def told(folders, monkeypatch, capsys):
    def call(*words):
        typed = [str(folders.get(word, word)) for word in words]
        monkeypatch.setattr(sys, "argv", ["ablation.py", *typed])
        code = ablation.main()
        return code, capsys.readouterr()

    return call


def rows_of(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_run_less_itself_is_nothing_and_less_another_is_the_difference_of_their_cards(told, folders):
    code, said = told("first", "--less", "first", "--less", "guess")
    head, _, same, less = rows_of(said.out)
    assert code == 0 and head[1:] == [*ablation.SETS, *ablation.PROBES]
    assert set(same[1:]) == {"+0.0000 [+0.0000, +0.0000]"} and less[0] == str(folders["guess"])
    for at, (visible, metric) in enumerate([("I,II,V2", "r"), ("I,II,V3", "r"), ("all twelve", "r2")], 1):
        cards = [read_card(folders[name])["reconstruction"][visible]["rivals"]["model"] for name in ("first", "guess")]
        value, low, high = map(float, less[at].replace("[", "").replace("]", "").replace(",", "").split())
        assert value == pytest.approx(cards[0][metric]["value"] - cards[1][metric]["value"], abs=6e-5)
        assert low < value < high


def test_a_side_of_several_seeds_is_their_mean(told):
    (_, apart), (_, both) = told("first", "--less", "guess"), told("first", "second", "--less", "guess")
    _, other = told("second", "--less", "guess")
    values = [float(rows_of(said.out)[2][1].split()[0]) for said in (apart, other, both)]
    assert values[2] == pytest.approx((values[0] + values[1]) / 2, abs=1.1e-4)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("first", "--less", "other hearts"), "expected the validation records and labels of"),
        (("first", "guess", "--less", "second"), "with another seed, got others; give it a --less of its own"),
        (("first", "--less", "guess", "guess"), "expected a seed of its own on its side, got 0 once more"),
        (("first", "--less", "nowhere"), "nowhere: expected the folder of a finished run, got no folder"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_in_a_line_before_any_is_judged(told, monkeypatch, words, expected):
    monkeypatch.setattr(ablation.Run, "figures", lambda _: pytest.fail("judged"))
    code, said = told(*words)
    assert code == 2 and said.out == "" and expected in said.err and said.err.count("\n") == 1


def test_an_unfinished_run_is_refused(told, tmp_path, folders):
    (tmp_path / "config.yaml").write_bytes((folders["first"] / "config.yaml").read_bytes())
    code, said = told("first", "--less", str(tmp_path))
    assert code == 2 and "got one that is unfinished" in said.err
