"""Two processes that want the same folder: one has it, the other one is told so in a line, and nothing is mixed."""

import re
import signal

import pytest

from ecggen.codetable import read_codes
from ecggen.runid import parse_runid
from tests.fake_search import V1
from tests.faults.mortal import KILLED, Death
from tests.faults.test_kill_search import SPACE, TINY
from tests.faults.test_kill_training import TRAIN, WORDS, Calm
from tests.faults.whole import check_done, check_tidy
from tests.live_search import check_whole, of_kind, rows, tiny_words

SEARCH = "tests.faults.deeds:search"
TAKEN = r"error: out/m.*_step9: expected a free folder, another process writes it; wait for it or end it\n"


def pause(base, target, at=1):
    """A process that waits in the middle of writing a file."""
    return Death(str(base), at, target=target, way=signal.SIGSTOP)


@pytest.mark.parametrize("target", ["training.pt", "DONE"])
def test_of_two_trainings_of_one_run_one_is_refused(stock, tmp_path, tmp_path_factory, target, fault):
    calm = Calm(tmp_path_factory.mktemp("calm"), stock)
    own = {"ECGGEN_CACHE": str(calm.cache)}
    first = stock.start(TRAIN, *WORDS, cwd=tmp_path, death=pause(tmp_path, target), **own)
    first.until(first.stopped)
    for words in ((), ("--resume",), ("--force",)):
        second = stock.run(TRAIN, *WORDS, *words, cwd=tmp_path, **own)
        assert second.code == 2 and re.fullmatch(TAKEN, second.err), second.err
    first.go_on()
    assert first.wait() == 0 and first.err == ""
    (folder,) = (tmp_path / "out").glob("*_step9*")
    assert (folder / "model.safetensors").read_bytes() == (calm.folder / "model.safetensors").read_bytes()
    assert check_done(tmp_path / "out") == 1
    check_tidy(tmp_path)
    fault("two trainings of one run, `--resume` and `--force` among them", 3, 0, "the second is refused in one line")


@pytest.fixture
def order(tmp_path):
    """The words of a search."""
    (tmp_path / "mine.yaml").write_text(SPACE)
    words = ["--space", str(tmp_path / "mine.yaml"), "--name", "one", "--results", "out", "--no-asha"]
    return [*words, *tiny_words(**TINY), "--set", "train.validate_every=3"]


@pytest.mark.slow  # 25 s
@pytest.mark.parametrize("target", ["space.yaml", "search.yaml", "trial.json"])
def test_of_two_searches_of_one_name_one_is_refused(searchers, order, tmp_path, target, fault):
    """The first one waits in the middle of its beginning; the second one asks for something else under its name."""
    own = {"ECGGEN_CACHE": str(tmp_path / "cache")}
    (tmp_path / "other.yaml").write_text(SPACE.replace("[8, 9, 10]", "[12, 14, 16]"))
    first = searchers.start(SEARCH, *order, cwd=tmp_path, death=pause(tmp_path, target), **own)
    first.until(first.stopped)
    other = [word.replace("mine.yaml", "other.yaml") for word in order]
    second = searchers.run(SEARCH, *other, cwd=tmp_path, **own)
    assert second.code == 2 and second.err.count("\n") == 1, second.err
    assert re.match("error: (one: expected a search that nobody runs|--name one: expected a free name)", second.err)
    first.go_on()
    assert first.wait() == 0 and first.err == "", first.err
    folder = tmp_path / "out" / "searches" / "one"
    assert sorted(row["model.vcg.basis_k"] for row in of_kind(folder, "trial")) == ["10", "8", "9"]
    check_whole(folder, tmp_path / "out")
    fault("two searches of one name, begun at once", 1, 0, "the second is refused in one line; one order, one study")


@pytest.mark.slow  # 10 s
def test_a_search_does_not_promote_into_a_folder_that_is_being_written(searchers, order, tmp_path, fault):
    own = {"ECGGEN_CACHE": str(tmp_path / "cache")}
    assert searchers.run(SEARCH, *order, "--finalists", "0", cwd=tmp_path, **own).code == 0
    results = tmp_path / "out"
    (done,) = results.glob("*_step6")
    for path in done.iterdir():
        path.unlink()
    done.rmdir()
    trial = done.name.split("_")[0]
    words = ["--results", "out", "--quiet", "--runid", trial, "--steps", "6", "--threads", "1", *tiny_words(**TINY)]
    words += ["--set", "train.validate_every=3"]
    training = searchers.start(TRAIN, *words, cwd=tmp_path, death=pause(tmp_path, "training.pt"), **own)
    training.until(training.stopped)
    rebuilt = searchers.run(SEARCH, "--rebuild", "one", "--results", "out", cwd=tmp_path, **own)
    assert rebuilt.code == 0 and rebuilt.err == "", rebuilt.err
    assert f"not promoted: out/{done.name}: expected a free folder, another process writes it" in rebuilt.out
    training.go_on()
    assert training.wait() == 0 and training.err == "", training.err
    searchers.run(SEARCH, "--rebuild", "one", "--results", "out", cwd=tmp_path, **own)
    assert rows(results / "searches" / "one" / "leaderboard.csv")[0]["folder"] == done.name
    assert check_done(results) == 2
    fault(
        "search promotes a run that main.py is training",
        1,
        0,
        "not promoted, said in one line; `--rebuild` takes it over",
    )


def test_ten_writers_keep_the_table_of_run_ids_one_to_one(stock, tmp_path, fault):
    """Each wants twelve new rows, most of which others want too; two are killed while they write."""
    deaths = {3: Death(str(tmp_path), 5, torn=True), 7: Death(str(tmp_path), 2, torn=True)}
    writers = [
        stock.start("tests.faults.deeds:codes", str(tmp_path), 9 + 2 * at, 12, cwd=tmp_path, death=deaths.get(at))
        for at in range(10)
    ]
    codes = [writer.wait() for writer in writers]
    assert codes == [KILLED if at in deaths and code else 0 for at, code in enumerate(codes)] and codes.count(0) >= 8
    said = {}
    for writer in writers:
        assert writer.err == ""
        for line in writer.out.splitlines():
            size, runid = line.split()
            assert said.setdefault(int(size), runid) == runid
    assert len(set(said.values())) == len(said) >= 28
    table = read_codes(V1, tmp_path)
    for size, runid in said.items():
        assert table.rows["k"][parse_runid(runid).k]["model.vcg.basis_k"] == size
    stock.run("tests.faults.deeds:codes", str(tmp_path), 39, 1, cwd=tmp_path)
    check_tidy(tmp_path)
    fault("ten writers of codes.yaml at once, two of them killed", 10, 0, "one code a setting, one setting a code")
