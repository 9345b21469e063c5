"""A search that is killed, interrupted or extended goes on as if nothing had happened; the faults are real ones."""

import contextlib
import os
import random
import re
import shlex
import shutil
import signal
import time

import optuna
import pytest
from optuna.trial import TrialState

import run_search as entry
from ecggen.checkpoint import load_training
from search.folders import data_name
from search.ledger import Ledger
from search.order import read_order, write_order
from search.trialfile import read_result
from tests.conftest import REPO
from tests.data.layouts import hearts, write_arrays
from tests.live_search import Live, MissedError, check_whole, figures, of_kind, rows, session, states, tiny_words
from tests.search_here import no_ray, search_here

GRID = """
about: eight settings
search: {trials: 5, steps: 45, finalists: 1, seeds: 1}
space:
  m: [1, 2]
  model.vcg.basis_k: {choice: [8, 10, 12, 16]}
"""
WHOLE_GRID = ("--algorithm", "grid", "--trials", 5, "--no-asha")


def begin(base, *words, space=GRID, name="one", **environment):
    """A new search."""
    (base / "mine.yaml").write_text(space)
    return Live(base, "--space", base / "mine.yaml", "--name", name, "--results", "out", *words, **environment)


def of(base, name="one"):
    return base / "out" / "searches" / name


def resume(base, *words, name="one", **environment):
    return Live(base, "--resume", name, "--results", "out", *words, **environment)


def learned(folder):
    """Key -> learning curve, times included, of every trial that is under way."""
    found = {}
    for file in folder.glob("trials/*/training.pt"):
        state = load_training(file.parent)
        if state is not None:  # else it was whole in this moment
            found[file.parent.relative_to(folder).as_posix()] = state["history"]
    return found


def under_way(folder, *numbers):
    """Whether all these trials can be taken up again."""
    return all(list(folder.glob(f"trials/{number:04d}_*/training.pt")) for number in numbers)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The search that nothing happens to, not even Ray; its base folder."""
    base = tmp_path_factory.mktemp("undisturbed")
    (base / "mine.yaml").write_text(GRID)
    words = ("--space", base / "mine.yaml", "--name", "one", "--results", "out")
    assert search_here(base, *words, *WHOLE_GRID, *tiny_words()) == 0
    return base


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """The same one: a worker is killed, then the driver; then Ctrl-C; then it is carried on as it was told to be.

    Base folder, and what was seen on the way.
    """
    for _ in range(2):
        with contextlib.suppress(MissedError):
            return disturb(tmp_path_factory.mktemp("disturbed"))
    return disturb(tmp_path_factory.mktemp("disturbed"))


def disturb(base):
    folder, seen = of(base), {}
    live = begin(base, *WHOLE_GRID, *tiny_words())
    live.until(lambda: under_way(folder, 1, 2))
    seen["learned"] = learned(folder)
    os.kill(live.workers()[0], signal.SIGKILL)
    live.until(lambda: states(folder) and under_way(folder, 3))
    live.kill()
    seen["learned"] |= learned(folder)
    seen["over when killed"] = states(folder)

    live = resume(base)
    live.until(lambda: len(states(folder)) >= 3 and under_way(folder, 5))
    live.interrupt()
    seen["code"], seen["interrupted"] = live.end(), live
    seen["over when interrupted"] = states(folder)

    words = shlex.split(live.err.strip().partition("carry on with: ")[2])
    live = Live(base, *words[2:])
    live.until(lambda: any("raylet" in words for _, words in session(live.process.pid)))
    seen["beside"] = beside = resume(base, "--extend", 1)
    seen["beside code"] = beside.end()
    assert live.end() == 0, live.err
    seen["last"] = live
    return base, seen


def test_after_kills_and_ctrl_c_every_trial_is_as_if_nothing_had_happened(undisturbed, disturbed, fault):
    assert figures(of(disturbed[0])) == figures(of(undisturbed))
    check_whole(of(disturbed[0]), disturbed[0] / "out")
    fault("search with Ray's workers, SIGKILL of a worker", 1, 0, "the trial goes on in another worker")
    fault("search with Ray's workers, Ctrl-C", 1, 0, "one line with the command that goes on; tables as without it")


def test_nothing_that_was_over_is_touched_again(disturbed):
    base, seen = disturbed
    now = states(of(base))
    assert len(seen["over when killed"]) >= 1
    for moment in ("over when killed", "over when interrupted"):
        assert {key: now[key] for key in seen[moment]} == seen[moment]


def test_trials_went_on_from_their_own_state(disturbed):
    """Seconds are measured, so that a training that began anew would have others."""
    base, seen = disturbed
    assert len(seen["learned"]) >= 3  # two with the killed worker, one with the killed driver
    for key, history in seen["learned"].items():
        assert history and read_result(of(base) / key)["history"][: len(history)] == history


def test_the_leaderboard_is_that_of_an_undisturbed_search(undisturbed, disturbed):
    assert rows(of(disturbed[0]) / "leaderboard.csv") == rows(of(undisturbed) / "leaderboard.csv")
    assert "Leaderboard of one" in disturbed[1]["last"].out


def test_ctrl_c_is_one_line_with_the_command_that_goes_on(disturbed):
    seen = disturbed[1]
    assert seen["code"] == 130
    line = seen["interrupted"].err
    assert re.match(r"interrupted, [34] of 5 trials are over and kept; carry on with: ", line)
    assert line.endswith(": python run_search.py --resume one --results out\n") and line.count("\n") == 1


def test_a_search_has_one_process(disturbed, fault):
    beside = disturbed[1]["beside"]
    assert disturbed[1]["beside code"] == 2
    assert beside.err == "error: one: expected a search that nobody runs, another process does; wait for it\n"
    assert len(of_kind(of(disturbed[0]), "trial")) == 5  # what was refused added nothing
    fault("a search that runs is resumed by a second process", 1, 0, "the second is refused in one line")


def test_nothing_of_rays_own_is_said(disturbed):
    live = disturbed[1]["last"]
    assert live.err == ""
    assert not re.search(r"\bray\b|Ray|WARN|Warning|Traceback|╭|Trial status|pid=", live.out)


@pytest.fixture(scope="module")
def extended(undisturbed, tmp_path_factory):
    """A copy of the finished search with two more trials; what was there before; what was said."""
    base = tmp_path_factory.mktemp("extended")
    shutil.copytree(undisturbed, base, dirs_exist_ok=True)
    before = figures(of(base)), states(of(base))
    live = resume(base, "--extend", 2)
    assert live.end() == 0, live.err
    return base, before, live


@pytest.mark.slow  # 12 s
def test_extending_adds_as_many_trials_and_touches_no_other(extended):
    base, (known, written), _ = extended
    assert len(of_kind(of(base), "trial")) == 7
    now, times = figures(of(base)), states(of(base))
    assert {digest: now[digest] for digest in known} == known
    assert {key: times[key] for key in written} == written
    check_whole(of(base), base / "out")


def refused(base, monkeypatch, capsys, *words):
    """What is said to whoever resumes here; Ray is not started."""
    monkeypatch.setattr(entry, "ray_beside_imports", no_ray)
    monkeypatch.chdir(base)
    assert entry.main(["--results", "out", *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("preprocessing")]
    assert len(lines) == 1
    return lines[0]


def copy(base, to):
    """The same search elsewhere, of a space file that lies there."""
    shutil.copytree(base, to, dirs_exist_ok=True)
    text = (of(to) / "search.yaml").read_text()
    (of(to) / "search.yaml").write_text(text.replace(str(base / "mine.yaml"), str(to / "mine.yaml")))


def test_a_changed_space_is_refused_and_its_entry_is_named(undisturbed, tmp_path, monkeypatch, capsys):
    copy(undisturbed, tmp_path)
    (tmp_path / "mine.yaml").write_text(GRID.replace("[8, 10, 12, 16]", "[8, 10, 12, 20]"))
    err = refused(tmp_path, monkeypatch, capsys, "--resume", "one")
    assert "changed: the space (space.model.vcg.basis_k.choice); bring that back" in err
    assert len(of_kind(of(tmp_path), "trial")) == 5


def test_changed_recordings_are_refused(undisturbed, tmp_path, monkeypatch, capsys):
    copy(undisturbed, tmp_path)
    (tmp_path / "mine.yaml").write_text(GRID)
    root = write_arrays(tmp_path / "recordings", hearts(6))
    words = ["--space", str(tmp_path / "mine.yaml"), "--data", "arrays", "--data-root", str(root), "--config"]
    args = entry.parser().parse_args([*words, str(REPO / "configs" / "train" / "v1.yaml"), "--set", "data.workers=1"])
    begun = read_order(of(tmp_path))
    base = entry.new_order(args).base
    order = type(begun)(**{**vars(begun), "base": base, "data": data_name(base)})
    write_order(of(tmp_path), order)
    write_arrays(root, hearts(6, seed=1))
    assert "changed: the data (source files" in refused(tmp_path, monkeypatch, capsys, "--resume", "one")


@pytest.mark.slow  # 10 s
def test_resuming_what_is_finished_trains_nothing_and_shows_the_leaderboard(extended, tmp_path):
    base, _, first = extended
    before = figures(of(base)), states(of(base))
    live = resume(base)
    assert live.end() == 0, live.err
    assert (figures(of(base)), states(of(base))) == before
    assert live.out.endswith(first.out[first.out.index("Leaderboard of one") :])
    assert "completed" not in live.out and "trainings" not in live.out


SPREAD = """
about: a larger space
search: {trials: 8, steps: 81, finalists: 3, seeds: 1}
space:
  m: [1, 2]
  model.vcg.basis_k: {choice: [8, 12, 16]}
  train.lr: {loguniform: [0.0005, 0.01]}
"""


DRIVER_KILLED = "search with Ray's workers, SIGKILL of the driver at a random moment of each phase"
GOES_ON = "`--resume` goes on; trials and tables as without the kills"


def promoting(live):
    return "keeping the best" in live.out


# A moment of each phase; what follows it is a random delay of at most so many seconds.
PHASES = {
    "start-up": (lambda live, folder: True, 5.0),
    "first trials": (lambda live, folder: list(folder.glob("trials/*/training.pt")), 1.5),
    "last trials": (lambda live, folder: len(list(folder.glob("trials/*/result.json"))) > 2, 1.0),
    "finals": (lambda live, folder: list(folder.glob("finalists/*/*/training.pt")), 1.0),
    "promotion": (lambda live, folder: promoting(live), 2.5),
}


def killed_again_and_again(base, rng, words, space, after=lambda folder: None):
    """A search whose driver is killed once in every phase, and then left alone; its folder."""
    folder = of(base)
    for reached, most in PHASES.values():
        live = resume(base) if (folder / "search.yaml").exists() else begin(base, *words, *tiny_words(), space=space)
        live.until(lambda live=live, reached=reached: reached(live, folder))
        time.sleep(rng.uniform(0, most))
        live.kill()
        after(folder)
    live = resume(base) if (folder / "search.yaml").exists() else begin(base, *words, *tiny_words(), space=space)
    assert live.end() == 0, live.err
    assert live.err == ""
    return folder


@pytest.mark.slow  # 80 s each
@pytest.mark.parametrize("seed", [1, 2])
def test_five_kills_of_the_driver_change_nothing(tmp_path, seed, fault):
    words = ("--algorithm", "grid", "--trials", 6, "--no-asha", "--finalists", 2)
    calm, shaken = tmp_path / "calm", tmp_path / "shaken"
    calm.mkdir(), shaken.mkdir()
    live = begin(calm, *words, *tiny_words(), space=GRID)
    assert live.end() == 0, live.err
    times = []
    folder = killed_again_and_again(shaken, random.Random(seed), words, GRID, lambda place: times.append(states(place)))
    assert figures(folder) == figures(of(calm))
    assert rows(folder / "leaderboard.csv") == rows(of(calm) / "leaderboard.csv")
    check_whole(folder, shaken / "out")
    now = states(folder)
    for before in times:
        assert {key: now[key] for key in before} == before
    fault(DRIVER_KILLED, len(PHASES), 0, GOES_ON)


@pytest.mark.slow  # 80 s each
@pytest.mark.parametrize("seed", [3, 4])
def test_five_kills_of_an_adaptive_search_lose_nothing(tmp_path, seed, fault):
    known = []
    words = ("--algorithm", "optuna", "--trials", 8)
    folder = killed_again_and_again(
        tmp_path, random.Random(seed), words, SPREAD, lambda place: known.append(of_those_that_are_over(place))
    )
    assert len(of_kind(folder, "trial")) == 8
    now = of_those_that_are_over(folder)
    revived = {trial.hash for trial in Ledger(folder).trials if trial.full}
    for before in known:
        for digest, (status, step, curve) in before.items():
            if digest in revived:
                assert now[digest][2][: len(curve)] == curve
            else:
                assert now[digest] == (status, step, curve)
    check_whole(folder, tmp_path / "out")
    check_runners_up(folder)
    fault(DRIVER_KILLED, len(PHASES), 0, GOES_ON)


def of_those_that_are_over(folder):
    return {
        trial.hash: (trial.status, trial.step, [(row["step"], row["val_hidden_r"]) for row in trial.curve])
        for trial in Ledger(folder)
        if trial.status != "running"
    }


def check_runners_up(folder):
    """A trial that ASHA stopped and that went on has two trials of the study: one PRUNED, and the one that counts."""
    study = optuna.load_study(study_name="ecggen", storage=f"sqlite:///{folder / 'study.db'}")
    for trial in Ledger(folder).trials:
        own = [told.state for told in study.trials if told.user_attrs.get("trial") == trial.key]
        assert own == [TrialState.PRUNED, TrialState.COMPLETE] if trial.full else len(own) == 1, trial.key


@pytest.mark.slow  # 15 s
def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    live = begin(tmp_path, *WHOLE_GRID, "--steps", 2000, *tiny_words())
    live.until(lambda: under_way(of(tmp_path), 1, 2))
    live.interrupt()
    time.sleep(0.3)
    assert live.process.poll() is None
    live.interrupt()
    began = time.monotonic()
    assert live.end() == 130
    assert time.monotonic() - began < 1.5
    assert live.err == "interrupted; carry on with: python run_search.py --resume one --results out\n"
    nobody_is_left(live)


@pytest.mark.slow  # 25 s
def test_ctrl_c_while_winners_are_kept_leaves_no_traces(tmp_path):
    live = begin(tmp_path, *WHOLE_GRID, "--finalists", 2, "--steps", 9, *tiny_words())
    live.until(lambda: promoting(live))
    time.sleep(0.7)
    live.interrupt()
    assert live.end() == 130
    assert live.err == "interrupted; carry on with: python run_search.py --resume one --results out\n"
    assert not (of(tmp_path) / "DONE").exists()
    nobody_is_left(live)
    live = resume(tmp_path)
    assert live.end() == 0, live.err
    check_whole(of(tmp_path), tmp_path / "out")


@pytest.mark.slow  # 20 s
@pytest.mark.parametrize("seconds", [0.5, 1.5, 3.0])
def test_ctrl_c_before_it_began_is_one_word(tmp_path, seconds):
    live = begin(tmp_path, *WHOLE_GRID, *tiny_words())
    time.sleep(seconds)
    live.interrupt()
    assert live.end() == 130
    assert live.err == "interrupted\n"
    nobody_is_left(live)


def nobody_is_left(live):
    """No process of the search outlives it; Ray's two agents need a minute to notice."""
    end = time.monotonic() + 20
    while others := [words for _, words in session(live.process.pid) if "Agent" not in words]:
        assert time.monotonic() < end, others
        time.sleep(0.2)


@pytest.mark.slow  # 40 s
def test_state_behind_a_uri_outlives_the_driver(undisturbed, tmp_path, fault):
    store = tmp_path / "store"
    storage = ("--storage", f"file://{store}")
    live = begin(tmp_path, *WHOLE_GRID, *tiny_words(), *storage)
    live.until(lambda: list(store.glob("one/trials/0003_*/training.pt")))
    live.kill()
    before = states(of(tmp_path))
    history = load_training(next(store.glob("one/trials/0003_*/training.pt")).parent)["history"]
    live = resume(tmp_path, *storage)
    assert live.end() == 0, live.err
    assert live.err == ""
    assert figures(of(tmp_path)) == figures(of(undisturbed))
    check_whole(of(tmp_path), tmp_path / "out")
    now = states(of(tmp_path))
    assert {key: now[key] for key in before} == before
    third = next(of(tmp_path).glob("trials/0003_*"))
    assert history and read_result(third)["history"][: len(history)] == history
    fault("search with states behind a URI, SIGKILL of the driver", 1, 0, "`--resume` goes on from what was stored")
