"""Trials' folders in a store behind a URI: whole files, nothing lost, one line where it is out of reach."""

import pickle
import tempfile
from pathlib import Path

import pytest

from ecggen.atomic import UNFINISHED, write_text
from search import storage as storage_module
from search.storage import Storage
from tests.user_fault import fault_of

KEY = "search/trial"


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Go to a node: what follows happens on a machine with a temporary folder of its own."""

    def go(name):
        folder = tmp_path / "nodes" / name
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))

    go("first")
    return go


@pytest.fixture
def root(tmp_path, node):
    return f"file://{tmp_path}/store"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def store_of(root):
    return Path(root.removeprefix("file://"), KEY)


def filled(root, **content):
    """A storage with a pushed trial, and the trial's folder."""
    storage = Storage(root)
    folder = storage.workplace(KEY)
    for name, text in content.items():
        (folder / name).write_text(text)
    storage.push(KEY)
    return storage, folder


def test_in_a_folder_trials_work_in_place(tmp_path):
    storage = Storage(str(tmp_path / "root"))
    storage.check()
    folder = storage.workplace(KEY)
    assert folder == tmp_path / "root" / KEY and folder.is_dir() and not storage.remote
    (folder / "state").write_text("1")
    storage.push(KEY)
    storage.remove_scratch(KEY)
    storage.pull(KEY, folder)
    storage.pull(KEY, tmp_path / "copy")
    assert files(folder) == files(tmp_path / "copy") == {"state": "1"}


def test_a_path_is_the_same_place_wherever_the_worker_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage("results")
    storage.check()
    monkeypatch.chdir("/")
    assert storage.workplace(KEY) == tmp_path / "results" / KEY


def test_another_node_goes_on_from_what_was_pushed(root, node, tmp_path):
    storage, folder = filled(root, state="1")
    (folder / "curves").mkdir()
    (folder / "curves" / "loss.csv").write_text("2")
    storage.push(KEY)
    sent = pickle.dumps(storage)
    node("second")
    there = pickle.loads(sent)  # noqa: S301  Ray sends it so
    assert there.workplace(KEY) != folder
    assert files(there.workplace(KEY)) == files(folder) == {"state": "1", "curves/loss.csv": "2"}
    there.pull(KEY, tmp_path / "driver")
    assert files(tmp_path / "driver") == files(folder)


def test_what_was_not_pushed_is_gone(root):
    storage, folder = filled(root, state="pushed")
    (folder / "state").write_text("newer")
    (folder / "new").write_text("")
    assert files(storage.workplace(KEY)) == {"state": "pushed"}


def test_only_what_changed_is_stored_and_what_is_gone_is_removed(root, monkeypatch):
    storage, folder = filled(root, state="1", model="2", old="3")
    stored = []
    put = Storage._put
    monkeypatch.setattr(Storage, "_put", staticmethod(lambda *of: (stored.append(of[2]), put(*of))))
    (folder / "state").write_text("new")
    (folder / "old").unlink()
    (folder / f".state.123{UNFINISHED}").write_text("being written")
    storage.push(KEY)
    assert stored == [b"new"]
    assert files(store_of(root)) == {"state": "new", "model": "2"}
    again = Storage(root)
    again.workplace(KEY)
    again.push(KEY)
    assert stored == [b"new"]  # what was just read is not written back


def test_a_key_that_nobody_stored_is_an_empty_folder(root, tmp_path):
    for storage in (Storage(root), Storage(str(tmp_path / "local"))):
        storage.check()
        storage.pull("nobody", tmp_path / "target")
        assert files(tmp_path / "target") == {}
        assert files(storage.workplace("nobody")) == {}
        assert not (tmp_path / "local" / "search").exists()


def test_scratch_goes_and_the_store_stays(root):
    storage, folder = filled(root, state="1")
    storage.remove_scratch(KEY)
    storage.remove_scratch(KEY)
    assert not folder.exists() and files(store_of(root)) == {"state": "1"}


def test_a_scratch_folder_that_somebody_cleared_does_not_clear_the_store(root):
    storage, folder = filled(root, state="1")
    (folder / "state").unlink()
    folder.rmdir()
    assert "TMPDIR" in fault_of(storage.push, KEY)
    assert files(store_of(root)) == {"state": "1"}


def test_a_cut_upload_leaves_the_file_that_was_there(root, node, tmp_path, monkeypatch):
    storage, folder = filled(root, state="whole")

    def cut(system, place, content):
        Path(place).write_bytes(content[:3])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "_put", staticmethod(cut))
        (folder / "state").write_text("newer")
        with pytest.raises(KeyboardInterrupt):
            storage.push(KEY)
    assert len(files(store_of(root))) == 2
    storage.pull(KEY, tmp_path / "driver")
    node("second")
    assert files(tmp_path / "driver") == files(Storage(root).workplace(KEY)) == {"state": "whole"}
    assert files(store_of(root)) == {"state": "whole"}  # the rest of the cut upload was cleared up


class Fault:
    """An upload that fails a number of times, on a clock that pauses turn."""

    def __init__(self, monkeypatch, times, error):
        self.left, self.error, self.now, self.put = times, error, 0.0, Storage._put
        monkeypatch.setattr(Storage, "_put", staticmethod(self))
        monkeypatch.setattr(storage_module.time, "sleep", self.sleep)
        monkeypatch.setattr(storage_module.time, "monotonic", lambda: self.now)

    def __call__(self, *arguments):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        self.put(*arguments)

    def sleep(self, seconds):
        self.now += seconds


def test_half_a_minute_out_of_reach_is_waited_for(root, monkeypatch):
    storage, folder = filled(root)
    fault = Fault(monkeypatch, 7, OSError("network down"))
    (folder / "state").write_text("1")
    storage.push(KEY)
    assert 30 < fault.now < 60
    assert files(store_of(root)) == {"state": "1"}


def test_a_folder_that_is_away_for_a_while_is_waited_for_and_not_made_anew(tmp_path, monkeypatch):
    storage, away = Storage(str(tmp_path / "share")), tmp_path / "away"
    storage.check()
    (storage.workplace(KEY) / "state").write_text("1")
    Path(storage.root).rename(away)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if sum(pauses) >= 30:
            away.rename(storage.root)

    monkeypatch.setattr(storage_module.time, "sleep", sleep)
    monkeypatch.setattr(storage_module.time, "monotonic", lambda: sum(pauses))
    assert files(storage.workplace(KEY)) == {"state": "1"} and sum(pauses) >= 30


def test_what_could_not_be_written_to_a_folder_that_was_away_is_done_again(tmp_path, monkeypatch):
    storage, away, tries = Storage(str(tmp_path / "share")), tmp_path / "away", []
    storage.check()

    def write():
        tries.append(1)
        if len(tries) == 1:
            Path(storage.root).rename(away)
        write_text(Path(storage.root) / "state", "whole")

    monkeypatch.setattr(storage_module.time, "sleep", lambda seconds: away.rename(storage.root))
    storage.outlasting(write)
    assert len(tries) == 2 and (Path(storage.root) / "state").read_text() == "whole"


def test_a_folder_that_stays_away_is_one_line(tmp_path, monkeypatch):
    storage, passed = Storage(str(tmp_path / "share")), []
    monkeypatch.setattr(storage_module.time, "sleep", passed.append)
    monkeypatch.setattr(storage_module.time, "monotonic", lambda: sum(passed))
    assert "expected the folder with .trials, got none for 60 s" in fault_of(storage.workplace, KEY)
    assert not Path(storage.root).exists()


def test_longer_is_one_line(root, monkeypatch):
    storage, folder = filled(root)
    fault = Fault(monkeypatch, 1000, OSError("network down\nat line 7"))
    (folder / "state").write_text("1")
    message = fault_of(storage.push, KEY)
    assert root in message and "network down" in message and "expected" in message
    assert 30 < fault.now <= 60


@pytest.mark.parametrize("error", [PermissionError("no"), OSError("AWS Error ACCESS_DENIED during PutObject")])
def test_what_waiting_does_not_cure_is_one_line_at_once(root, monkeypatch, error):
    storage = Storage(root)
    fault = Fault(monkeypatch, 1, error)
    assert "check" in fault_of(storage.check)
    assert fault.now == 0


def test_a_store_that_does_not_give_half_files_gets_them_under_their_name(root, monkeypatch):
    monkeypatch.setattr(storage_module, "WHOLE_BY_NATURE", ("local",))
    store_of(root).mkdir(parents=True)  # such stores have no folders to be made
    _, folder = filled(root, state="1")
    assert files(store_of(root)) == files(folder) == {"state": "1"}


@pytest.mark.parametrize("wrong", ["nonsense://bucket/path", "file://no/such/host", "s3://"])
def test_a_wrong_uri_is_one_line(wrong):
    assert wrong in fault_of(Storage(wrong).check)


def test_a_secret_in_a_uri_is_not_printed():
    message = fault_of(Storage("nonsense://key:secret@bucket/path").check)
    assert "nonsense://bucket/path" in message and "secret" not in message


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (str(tmp_path / "file" / "below"), f"file://{tmp_path}/file/below"):
        assert "expected to" in fault_of(Storage(root).check)


def test_check_leaves_nothing_but_the_mark_of_a_folder(tmp_path, root):
    for place, storage in ((tmp_path / "local", Storage(str(tmp_path / "local"))), (store_of(root), Storage(root))):
        storage.check()
        assert files(place) == ({} if storage.remote else {".trials": ""})


def test_another_users_folder_is_not_used(root, monkeypatch):
    Storage(root).workplace(KEY)
    owner = Path(tempfile.tempdir) / "ecggen-1234567"
    owner.mkdir()
    monkeypatch.setattr(storage_module.os, "getuid", lambda: 1234567)
    assert "another user's" in fault_of(Storage(root).workplace, KEY)
