"""Memory that ends: a trial's loss is that trial's alone, and a training says what to lower and can go on."""

import re

import pytest
import torch

from ecggen.train import train
from tests.faults.test_kill_training import TRAIN, WORDS
from tests.faults.whole import check_done
from tests.live_search import Live, check_whole, of_kind, tiny_words
from tests.sabotage import sabotage
from tests.tiny import tiny_run
from tests.user_fault import fault_of

# At some learning rates memory ends, each time in another way.
ENDS = """
import os, signal

def before_step(trainer):
    rate = trainer.cfg.lr if trainer.step == 4 else None
    if rate == 0.003:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does
    if rate == 0.004:
        import torch
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\\nGPU 0 has 8.00 GiB")
    if rate == 0.006:
        raise MemoryError
"""
SPACE = """
about: learning rates
search: {trials: 5, steps: 9, finalists: 1, seeds: 1}
space: {train.lr: {choice: [0.003, 0.004, 0.006, 0.001, 0.002]}}
"""


@pytest.mark.slow  # 40 s
def test_a_trial_without_memory_fails_alone(tmp_path, fault):
    environment = sabotage(tmp_path, ENDS)
    (tmp_path / "mine.yaml").write_text(SPACE)
    words = ("--space", tmp_path / "mine.yaml", "--name", "one", "--results", "out", "--no-asha", *tiny_words())
    live = Live(tmp_path, *words, **environment)
    assert live.end() == 0, live.err
    assert live.err == "" and "Traceback" not in live.out
    folder = tmp_path / "out" / "searches" / "one"
    table = {row["train.lr"]: row for row in of_kind(folder, "trial")}
    assert [table[rate]["status"] for rate in ("0.003", "0.004", "0.006")] == ["failed"] * 3
    assert re.match("worker lost 3 times: |its worker was lost three times", table["0.003"]["reason"])
    said = r"memory: expected room for steps of 8 records on cpu, got: {}; lower train.batch_size"
    assert re.match(said.format(r"CUDA out of memory. Tried to allocate 2.00 GiB\."), table["0.004"]["reason"])
    assert re.match(said.format("MemoryError"), table["0.006"]["reason"])
    assert [table[rate]["status"] for rate in ("0.001", "0.002")] == ["completed"] * 2
    check_whole(folder, tmp_path / "out")
    live = Live(tmp_path, "--resume", "one", "--results", "out", **environment)
    assert live.end() == 0 and live.err == "", live.err
    fault(
        "trial killed for want of memory (SIGKILL), three times", 3, 0, "that trial fails with the reason, others go on"
    )
    fault(
        "trial out of GPU memory (simulated), out of memory", 2, 0, "that trial fails with what to lower, others go on"
    )


@pytest.mark.parametrize("kind", ["gpu", "cpu", "python"])
def test_a_training_without_memory_is_one_line_and_goes_on(stock, tmp_path, kind, fault):
    own = {"ECGGEN_CACHE": str(tmp_path / "cache")}
    child = stock.run("tests.faults.deeds:starved", kind, *WORDS, cwd=tmp_path, **own)
    reasons = {"gpu": r"CUDA out of memory. Tried to allocate 2.00 GiB\.", "cpu": ".*can't allocate memory: .*"}
    reason = reasons.get(kind, "MemoryError")
    line = (
        rf"error: memory: expected room for steps of 8 records on cpu, got: {reason}; lower train.batch_size, or .*\n"
    )
    assert child.code == 2 and re.fullmatch(line, child.err), child.err
    child = stock.run(TRAIN, *WORDS, "--resume", cwd=tmp_path, **own)
    assert child.code == 0 and check_done(tmp_path / "out") == 1
    fault(
        "training out of memory (GPU: simulated)", 1, 0, "one line, exit 2; `--resume` goes on from the last validation"
    )


@pytest.mark.parametrize("taken", [1 << 60, 0])
def test_a_model_without_room_is_one_line_and_another_fault_stays_what_it_is(monkeypatch, taken):
    def model(_):
        torch.empty(taken, dtype=torch.uint8)  # torch's own allocator refuses, with a RuntimeError
        raise RuntimeError("another fault")

    monkeypatch.setattr("ecggen.train.ECGGenModel", model)
    if taken:
        assert "memory: expected room for steps of 8 records on cpu, got: " in fault_of(train, tiny_run())
    else:
        with pytest.raises(RuntimeError, match="another fault"):
            train(tiny_run())
