"""What is said when memory ends, and that nothing else is taken for it."""

import errno

import pytest
import torch

import main as entry
from ecggen import encode, evidence, judging, runs
from ecggen.checkpoint import load_training, save_training
from ecggen.errors import UserError
from ecggen.memory import room_for
from search.trial import begun
from tests.tiny import as_options


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory.\nGPU 0 has 8 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("unable to mmap 8 bytes from file <x>: Cannot allocate memory (12)"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        RuntimeError("could not create a primitive"),
        OSError(errno.ENOMEM, "Cannot allocate memory", "signals.npy"),
    ],
)
def test_the_end_of_memory_is_one_line_with_a_remedy(fault):
    with (
        pytest.raises(UserError, match=r"^memory: expected room for W, got: .+; free some$") as said,
        room_for("W", "free some"),
    ):
        raise fault
    assert "\n" not in str(said.value)


def test_what_came_of_the_end_of_memory_is_said_so():
    with pytest.raises(UserError, match="^memory: "), room_for("W", "free some"):
        try:
            raise MemoryError
        except MemoryError:
            raise RuntimeError("unexpected pos 64") from None  # torch.save, whose buffer could not grow


@pytest.mark.parametrize(
    "fault", [RuntimeError("shape"), OSError(errno.ENOSPC, "No space left on device"), KeyError("W")]
)
def test_other_faults_go_through(fault):
    with pytest.raises(type(fault)) as raised, room_for("W", "free some"):
        raise fault
    assert raised.value is fault


def test_a_training_state_that_does_not_fit_is_not_called_damaged(tmp_path, monkeypatch):
    save_training(tmp_path, {"step": 1})
    monkeypatch.setattr(torch, "load", ends)
    with pytest.raises(MemoryError):
        load_training(tmp_path)
    with pytest.raises(MemoryError):
        begun(tmp_path)
    assert (tmp_path / "training.pt").is_file()


def ends(*_, **__):
    raise MemoryError


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [
        (judging, "begin_reconstruction", ["--mode", "eval"]),
        (evidence, "readout_card", ["--mode", "eval", "--card", "full"]),
        (encode, "_encode", ["--mode", "encode", "--out", "W.npz"]),
        (runs, "load_model", ["--mode", "eval"]),
    ],
)
def test_every_mode_ends_in_that_line(finished, tmp_path, monkeypatch, capsys, where, name, words):
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in finished[1].iterdir() if path.is_file()}
    monkeypatch.setattr(where, name, ends)
    assert entry.main(["--results", str(finished[0]), "--runid", finished[1].name, *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: memory: expected room for --mode ") and said.endswith("call it again\n")
    assert before == {path.name: path.read_bytes() for path in finished[1].iterdir() if path.is_file()}
    assert not list(tmp_path.iterdir())


def test_what_follows_a_training_can_be_carried_on(tmp_path, monkeypatch, capsys):
    words = ["--results", str(tmp_path), "--quiet", *as_options()]
    with monkeypatch.context() as patched:
        patched.setattr(runs, "keep_portrait", ends)  # the last of it
        assert entry.main(words) == 2
    assert "call it again with --resume" in capsys.readouterr().err
    assert entry.main([*words, "--resume"]) == 0
    assert len(list(tmp_path.glob("*/DONE"))) == 1
