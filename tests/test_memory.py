"""What is said when memory ends, and that nothing else is taken for it."""

import json

import pytest
import torch

import main as entry
from ecggen import encode, judging
from ecggen.errors import UserError
from ecggen.memory import room_for


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory.\nGPU 0 has 8 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_the_end_of_memory_is_one_line_with_a_remedy(fault):
    with (
        pytest.raises(UserError, match=r"^memory: expected room for W, got: .+; free some$") as said,
        room_for("W", "free some"),
    ):
        raise fault
    assert "\n" not in str(said.value)


def test_other_faults_go_through():
    with pytest.raises(RuntimeError, match="shape"), room_for("W", "free some"):
        raise RuntimeError("shape")


def ends(*_, **__):
    raise MemoryError


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [(judging, "reconstruction_card", ["--mode", "eval"]), (encode, "_encode", ["--mode", "encode", "--out", "W.npz"])],
)
def test_judging_and_encoding_end_in_that_line(finished, tmp_path, monkeypatch, capsys, where, name, words):
    monkeypatch.chdir(tmp_path)
    before = (finished[1] / "metrics.json").read_bytes()
    monkeypatch.setattr(where, name, ends)
    assert entry.main(["--results", str(finished[0]), "--runid", finished[1].name, *words]) == 2
    said = capsys.readouterr().err
    assert "memory: expected room for" in said and "Traceback" not in said
    assert (finished[1] / "metrics.json").read_bytes() == before and json.loads(before)
    assert not list(tmp_path.iterdir())
