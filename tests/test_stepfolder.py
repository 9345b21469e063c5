import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecggen.atomic import UNFINISHED
from ecggen.errors import UserError
from ecggen.stepfolder import claim_folder, find_run, finished_runs
from tests.user_fault import fault_of

REPO = Path(__file__).resolve().parents[1]
A, B, C = "a" * 64, "b" * 64, "c" * 64


def finish(results, run_hash=A, runid="m1s1k1", steps=6, content="result"):
    """A finished run, and its folder."""
    with claim_folder(results, runid, steps, run_hash, force=True) as claim:
        (claim.folder / "metrics.json").write_text(content)
        claim.finish()
    return claim.folder


def begin(results, run_hash=A):
    """A run that stopped half-way, and its folder."""
    with claim_folder(results, "m1s1k1", 6, run_hash) as claim:
        (claim.folder / "checkpoint").write_text(run_hash)
    return claim.folder


def test_a_new_run_gets_the_plain_name_and_done_comes_last(tmp_path):
    with claim_folder(tmp_path / "deep" / "results", "m1s2k3", 500, A) as claim:
        assert claim.state == "new"
        assert claim.note == ""
        assert claim.folder == tmp_path / "deep" / "results" / "m1s2k3_step500"
        assert not (claim.folder / "DONE").exists()
        claim.finish()
    assert (claim.folder / "DONE").is_file()


def test_the_same_run_again_is_reused_and_left_alone(tmp_path):
    folder = finish(tmp_path)
    with claim_folder(tmp_path, "m1s1k1", 6, A) as again:
        assert again.state == "reuse"
        assert again.folder == folder
        assert "reused" in again.note
    assert (folder / "metrics.json").read_text() == "result"
    assert (folder / "DONE").exists()


def test_force_replaces_a_finished_run(tmp_path):
    folder = finish(tmp_path)
    (folder / "figures").mkdir()
    with claim_folder(tmp_path, "m1s1k1", 6, A, force=True) as again:
        assert again.state == "new"
        assert not (folder / "DONE").exists()
        assert not (folder / "metrics.json").exists()
        assert not (folder / "figures").exists()


def test_an_unfinished_run_is_carried_on(tmp_path):
    folder = begin(tmp_path)
    with claim_folder(tmp_path, "m1s1k1", 6, A) as again:
        assert again.state == "resume"
        assert again.folder == folder
        assert (folder / "checkpoint").exists()


def test_what_was_made_elsewhere_is_copied_here_beside_what_is_there(tmp_path):
    made = finish(tmp_path / "elsewhere")
    (made / "link").symlink_to(made / "metrics.json")
    folder = begin(tmp_path / "results")
    (folder / "metrics.json").write_text("of before")
    with claim_folder(tmp_path / "results", "m1s1k1", 6, A) as claim:
        claim.fill(made)
    assert (folder / "metrics.json").read_text() == "result" and (folder / "checkpoint").exists()
    assert not (folder / "link").exists() and (made / "DONE").exists()
    assert find_run(tmp_path / "results", "m1s1k1") == folder


def test_where_the_disk_is_full_the_copy_is_unfinished_and_nothing_is_lost(tmp_path, monkeypatch):
    made = finish(tmp_path / "elsewhere")
    folder = begin(tmp_path / "results")

    def full(*copied):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, claim_folder(tmp_path / "results", "m1s1k1", 6, A) as claim:
        patch.setattr("ecggen.stepfolder.shutil.copyfile", full)
        assert "free space and carry on" in fault_of(claim.fill, made)
    assert (folder / "checkpoint").exists() and not (folder / "DONE").exists()
    assert (made / "DONE").exists() and (made / "metrics.json").read_text() == "result"


def test_force_begins_an_unfinished_run_anew(tmp_path):
    folder = begin(tmp_path)
    with claim_folder(tmp_path, "m1s1k1", 6, A, force=True) as again:
        assert again.state == "new"
        assert not (folder / "checkpoint").exists()


def test_a_curve_without_a_validation_is_nothing_to_carry_on(tmp_path):
    curve = "events.out.tfevents.1.machine"
    with claim_folder(tmp_path, "m1s1k1", 6, A) as claim:
        (claim.folder / curve).write_bytes(b"begun")
    assert not claim.folder.exists()
    killed = claim_folder(tmp_path, "m1s1k1", 6, A)
    (killed.folder / curve).write_bytes(b"begun")
    killed._lock.release()  # as the system does for a process that was killed
    with claim_folder(tmp_path, "m1s1k1", 6, A) as again:
        assert again.state == "new" and not (again.folder / curve).exists()


def test_a_claim_that_came_to_nothing_leaves_nothing(tmp_path):
    with pytest.raises(UserError), claim_folder(tmp_path, "m1s1k1", 6, A) as claim:
        (claim.folder / "config.yaml").write_text("train: {}")
        raise UserError("no such recordings")
    assert not claim.folder.exists()
    with claim_folder(tmp_path, "m1s1k1", 6, A) as again:
        assert again.state == "new"


def test_a_kill_before_anything_was_learned_leaves_a_free_folder(tmp_path):
    (tmp_path / "m1s1k1_step6").mkdir()
    for name, text in ((".hash", B), (".lock", ""), ("config.yaml", "train: {}")):
        (tmp_path / "m1s1k1_step6" / name).write_text(text)
    with claim_folder(tmp_path, "m1s1k1", 6, A) as claim:
        assert claim.state == "new"
        assert claim.folder.name == "m1s1k1_step6"


def test_other_settings_go_to_a_folder_with_their_hash_and_find_it_again(tmp_path):
    plain = finish(tmp_path, A)
    with claim_folder(tmp_path, "m1s1k1", 6, B) as other:
        assert other.state == "new"
        assert other.folder.name == "m1s1k1_step6_bbbbbb"
        assert "m1s1k1_step6_bbbbbb" in other.note
        other.finish()
    with claim_folder(tmp_path, "m1s1k1", 6, B) as again:
        assert again.state == "reuse"
        assert again.folder == other.folder
    assert (plain / "metrics.json").read_text() == "result"
    with claim_folder(tmp_path, "m1s1k1", 7, B) as longer:
        assert longer.folder.name == "m1s1k1_step7"


def test_an_abandoned_run_does_not_keep_the_plain_name_and_can_still_be_resumed(tmp_path):
    plain = begin(tmp_path, A)
    with claim_folder(tmp_path, "m1s1k1", 6, B) as other:
        assert other.folder == plain
        assert other.state == "new"
        assert "unfinished" in other.note
        other.finish()
    with claim_folder(tmp_path, "m1s1k1", 6, A) as back:
        assert back.state == "resume"
        assert back.folder.name == "m1s1k1_step6_aaaaaa"
        assert (back.folder / "checkpoint").read_text() == A


def test_a_running_one_keeps_its_name(tmp_path):
    with claim_folder(tmp_path, "m1s1k1", 6, A) as running:
        for name in ("config.yaml", "checkpoint"):
            with claim_folder(tmp_path, "m1s1k1", 6, B) as other:
                assert other.folder.name == "m1s1k1_step6_bbbbbb"
            (running.folder / name).write_text("a")
        running.finish()
    assert find_run(tmp_path, "m1s1k1") == tmp_path / "m1s1k1_step6"


def test_a_folder_is_written_by_one_at_a_time(tmp_path):
    with claim_folder(tmp_path, "m1s1k1", 6, A):
        assert "another process writes it" in fault_of(claim_folder, tmp_path, "m1s1k1", 6, A)
        assert "another process writes it" in fault_of(claim_folder, tmp_path, "m1s1k1", 6, A, True)
    claim_folder(tmp_path, "m1s1k1", 6, A).release()


HOLD = """
import sys, time
from pathlib import Path
from ecggen.stepfolder import claim_folder
claim = claim_folder(Path(sys.argv[1]), "m1s1k1", 6, "a" * 64)
(claim.folder / "checkpoint").write_text("half")
print(claim.state, flush=True)
time.sleep(120)
"""


def test_two_processes_cannot_write_one_folder_and_a_kill_frees_it(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=REPO, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "new\n"
        assert "another process writes it" in fault_of(claim_folder, tmp_path, "m1s1k1", 6, A)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=30)
        holder.stdout.close()
    with claim_folder(tmp_path, "m1s1k1", 6, A) as after:
        assert after.state == "resume"


def test_what_a_killed_writer_left_goes_and_a_hidden_file_of_the_users_stays(tmp_path):
    folder = begin(tmp_path)
    (folder / f".metrics.json.123{UNFINISHED}").write_text("half")
    (folder / ".name.123").write_text("mine")
    with claim_folder(tmp_path, "m1s1k1", 6, A) as after:
        assert after.state == "resume"
        after.finish()
    assert sorted(path.name for path in folder.iterdir()) == [".hash", ".lock", ".name.123", "DONE", "checkpoint"]


def test_a_copy_without_hidden_files_still_knows_whose_it_is(tmp_path):
    folder = finish(tmp_path)
    (folder / ".hash").unlink()
    with claim_folder(tmp_path, "m1s1k1", 6, A) as again:
        assert again.state == "reuse"


def test_what_strangers_put_there_is_neither_used_nor_touched(tmp_path):
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "m1s1k1_step6").mkdir()
    (tmp_path / "m1s1k1_step6" / "notes.txt").write_text("mine")
    (tmp_path / "m1s1k1_step6_bbbbbb").write_text("a file")
    (tmp_path / "m1s1k1_step6_old").mkdir()
    (tmp_path / "m1s1k1_step6_old" / "DONE").touch()
    assert finished_runs(tmp_path) == []
    with claim_folder(tmp_path, "m1s1k1", 6, A, force=True) as claim:
        assert claim.folder.name == "m1s1k1_step6_aaaaaa"
    assert (tmp_path / "m1s1k1_step6" / "notes.txt").read_text() == "mine"
    assert "got a file" in fault_of(claim_folder, tmp_path, "m1s1k1", 6, B)
    assert "got a file" in fault_of(claim_folder, tmp_path / "README.md", "m1s1k1", 6, B)


def test_find_run(tmp_path):
    small, large = finish(tmp_path, A, steps=500), finish(tmp_path, A, steps=1000)
    other = finish(tmp_path, B, steps=500)
    longest_other = finish(tmp_path, C, steps=1000)
    finish(tmp_path, A, runid="m1s1k10", steps=9000)
    begin(tmp_path, A)
    assert find_run(tmp_path, "m1s1k1") == large
    assert find_run(tmp_path, "m1s1k1_step500") == small
    assert find_run(tmp_path, "m1s1k1_step500_bbbbbb") == other
    assert find_run(tmp_path, "m1s1k1_step1000_cccccc") == longest_other


def test_find_run_without_a_plain_folder_takes_the_newest(tmp_path):
    for run_hash in (A, B, C):
        finish(tmp_path, run_hash)
    (tmp_path / "m1s1k1_step6" / "DONE").unlink()
    os.utime(tmp_path / "m1s1k1_step6_cccccc" / "DONE", (1, 1))
    assert find_run(tmp_path, "m1s1k1_step6").name == "m1s1k1_step6_bbbbbb"


def test_find_run_says_what_there_is(tmp_path):
    assert "none at all" in fault_of(find_run, tmp_path / "nowhere", "m1s1k1")
    finish(tmp_path, runid="m2s1k1")
    assert "only m2s1k1_step6" in fault_of(find_run, tmp_path, "m1s1k1")
    assert "expected m1s1k1" in fault_of(find_run, tmp_path, "../m1s1k1")


def test_an_unfinished_run_is_not_found(tmp_path):
    begin(tmp_path)
    assert "none at all" in fault_of(find_run, tmp_path, "m1s1k1")
