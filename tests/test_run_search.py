"""The command line of the search: what is refused, in one line, before Ray starts; what is only shown."""

import contextlib
import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import run_search as entry
from ecggen.errors import UserError
from ecggen.leads import lead_indices
from search import asking, folders
from search.order import DONE, Order, owned, read_order, write_order
from search.share import Resources
from tests.conftest import REPO
from tests.tiny import tiny_run

CONFIG = REPO / "configs" / "train" / "v1.yaml"
CONTENT = {"about": "a pair", "space": {"m": [1, 2]}}


def run(results, *words):
    return entry.main(["--results", str(results), *words])


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    """Nothing here may get as far as starting Ray."""

    def started(address):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(entry.cluster, "start", started)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--space", "ttt_mod"], "ttt_mode"),
        (["--space", "nowhere/mine.yaml"], "mine.yaml"),
        ([], "--space ttt_mode is a good start"),
        (["--space", "ttt_mode", "--list"], "exactly one of"),
        (["--space", "ttt_mode", "--extend", "3"], "--resume NAME"),
        (["--space", "ttt_mode", "--set", "train.lrr=1"], "train.lr"),
        (["--space", "ttt_mode", "--reduction-factor", "1"], "2 or more"),
        (["--space", "ttt_mode", "--steps", "10", "--grace-steps", "11"], "at most the 10 steps"),
        (["--space", "ttt_mode", "--name", "../elsewhere"], "--name"),
        (["--space", "ttt_mode", "--name", ".."], "--name"),
        (["--space", "ttt_mode", "--time-budget", "0"], "--time-budget"),
        (["--space", "ttt_mode", "--trial-time-limit", "-1"], "--trial-time-limit"),
        (["--space", "ttt_mode", "--warm-start", "gone"], "gone"),
        (["--space", "regularizers", "--algorithm", "grid", "--dry-run", "--set", "train.steps=5"], "for a grid"),
        (["--space", "regularizers", "--algorithm", "grid"], "for a grid"),
        (["--space", "ttt_mode", "--storage", "/proc/nope"], "/proc/nope"),
        (["--space", "ttt_mode", "--storage", "foo://bar"], "foo://bar"),
        (["--space", "ttt_mode", "--results", "/proc/nope"], "--results /proc/nope"),
        (["--space", "ttt_mode", "--threads", "1", "--set", "train.threads=2"], "--threads 1"),
        (["--space", "ttt_mode", "--steps", "10", "--set", "train.steps = 50"], "--steps 10"),
        (["--space", "ttt_mode", "--seed", "0", "--set", "train.seed=1"], "--seed 0"),
        (["--resume", "gone"], "gone"),
        (["--rebuild", "../../etc"], "none"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(tmp_path, capsys, words, said):
    assert run(tmp_path, *words) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and err.startswith("error: ") and said in err
    assert not (tmp_path / "searches").exists()


@pytest.mark.parametrize("words", [["--trials", "0"], ["--seeds", "-1"], ["--algorithm", "grd"], ["--metric", "loss"]])
def test_values_that_no_search_can_have_are_refused_by_the_parser(tmp_path, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, "--space", "ttt_mode", *words)
    assert stopped.value.code == 2


def test_dry_run_prints_every_point_and_the_cost_and_leaves_nothing(tmp_path, capsys):
    assert run(tmp_path, "--space", "ttt_mode", "--dry-run") == 0
    said = capsys.readouterr().out
    assert said.count("# trial ") == 8 and "m=1, s=1" in said
    assert "at most 17 trainings of 225 steps" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("--name", "a/b"), ("--name", "half"), ("--time-budget", "-5"), ("--warm-start", "no")]
)
def test_a_dry_run_refuses_what_the_search_would_refuse_and_prints_nothing_else(tmp_path, capsys, words):
    kept(tmp_path)
    assert run(tmp_path, "--space", "ttt_mode", "--dry-run", *words) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1


def test_budget_of_recordings_is_larger_than_that_of_the_simulator(tmp_path, capsys):
    run(tmp_path, "--space", "ttt_mode", "--dry-run", "--data", "wfdb", "--data-root", "records")
    assert "trainings of 1350 steps" in capsys.readouterr().out


def order_of(metric="val_r"):
    return Order("half", "mine", "gone", CONTENT, tiny_run(), str(CONFIG), 4, "grid", metric, True, 1, 3, 1, 1)


def kept(results, order=None):
    """A search's folder."""
    order = order or order_of()
    write_order(results / "searches" / order.name, order)
    return results / "searches" / order.name


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


@pytest.fixture
def two_cores(monkeypatch):
    """Ray is there, with two cores and no GPU."""
    monkeypatch.setattr(entry.cluster, "start", lambda address, beforehand: Resources(2.0, 0.0, 1, True))
    monkeypatch.setattr(entry, "_import_driver", lambda: None)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("option", ["--cpus-per-trial", "--gpus-per-trial"])
def test_a_share_that_is_not_there_leaves_no_search_behind(tmp_path, capsys, option):
    assert run(tmp_path, "--space", "ttt_mode", option, "99") == 2
    err = capsys.readouterr().err
    assert option in err and "expected at most" in err and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("words", [("--cpus-per-trial", "99"), ("--storage", "/proc/nope")])
def test_a_faulty_extension_changes_nothing(tmp_path, capsys, monkeypatch, words):
    order = entry.new_order(entry.parser().parse_args(["--space", "ttt_mode", "--name", "half"]))
    folder = kept(tmp_path, order)
    (folder / DONE).write_text("yes")
    monkeypatch.setattr(folders, "data_name", lambda base: order.data)
    monkeypatch.setattr(folders, "code_digests", lambda: order.code)
    before = files(folder)
    assert run(tmp_path, "--resume", "half", "--extend", "5", *words) == 2
    assert words[1] in capsys.readouterr().err
    assert files(folder) == before


def test_several_nodes_want_a_storage():
    how = asking.how_of(entry.parser().parse_args([]))
    with pytest.raises(UserError, match="--storage"):
        asking.check_share(how, Resources(8.0, 0.0, 2, False))


@pytest.mark.parametrize(
    ("words", "trials", "expected"),
    [
        ("", 4, True),
        ("--address local", 9, True),
        ("--address auto", 9, False),
        ("", 3, False),
        ("--concurrency 3", 9, False),
        ("--cpus-per-trial 2", 9, False),
    ],
)
def test_workers_are_started_beforehand_where_each_core_gets_a_trial(monkeypatch, words, trials, expected):
    monkeypatch.setattr(asking, "_cores", lambda: 4)
    how = asking.how_of(entry.parser().parse_args(words.split()))
    assert asking.every_core(how, trials) is expected


def test_where_gpus_may_decide_how_many_trials_run_no_worker_is_started_beforehand(monkeypatch):
    monkeypatch.setattr(asking.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(asking, "_cores", lambda: 4)
    assert not asking.every_core(asking.how_of(entry.parser().parse_args([])), 9)
    assert asking.every_core(asking.how_of(entry.parser().parse_args(["--gpus-per-trial", "0"])), 9)


@pytest.mark.parametrize("share", ["nan", "inf", "-1"])
def test_a_share_is_a_number(tmp_path, share):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, "--space", "ttt_mode", f"--cpus-per-trial={share}")
    assert stopped.value.code == 2


def test_asking_loads_neither_torch_nor_ray():
    code = "import sys, search.asking; sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO).returncode == 0


def test_dry_run_of_a_resume_says_what_is_to_come_and_does_nothing(tmp_path, capsys):
    folder = kept(tmp_path, replace(order_of(), algorithm="random"))
    before = files(folder)
    assert run(tmp_path, "--resume", "half", "--dry-run", "--extend", "3") == 0
    assert "half: 0 trials are over, 7 to come by random" in capsys.readouterr().out
    assert files(folder) == before


def test_dry_run_of_a_resume_knows_how_many_points_a_grid_has(tmp_path, capsys):
    kept(tmp_path)  # asks for four of a space that has two
    assert run(tmp_path, "--resume", "half", "--dry-run", "--extend", "3") == 0
    assert "2 to come by grid" in capsys.readouterr().out


def test_dry_run_of_a_rebuild_is_refused(tmp_path, capsys):
    before = files(kept(tmp_path))
    assert run(tmp_path, "--rebuild", "half", "--dry-run") == 2
    err = capsys.readouterr().err
    assert "--dry-run" in err and len(err.splitlines()) == 1
    assert files(tmp_path / "searches" / "half") == before


@pytest.mark.parametrize("action", ["--resume", "--rebuild"])
@pytest.mark.parametrize("words", [("--seed", "0"), ("--finalists", "0"), ("--seeds", "0"), ("--no-asha",)])
def test_settings_that_count_as_nothing_are_refused_too(tmp_path, capsys, action, words):
    kept(tmp_path)
    assert run(tmp_path, action, "half", *words) == 2
    assert f"{action}: expected no {words[0]} beside it" in capsys.readouterr().err


def test_the_metric_has_to_be_measurable(monkeypatch):
    """Records with I, II and V2 but no other precordial, and such with V1 but without V2."""
    mask = np.zeros((4, 12), bool)
    mask[:2, lead_indices(["I", "II", "V2"])] = True
    mask[2:, lead_indices(["I", "II", "V1"])] = True

    class Val:
        index, store = np.arange(4), SimpleNamespace(lead_mask=mask)

        def __init__(self, run, split):
            assert split == "val"

        def __len__(self):
            return 4

    monkeypatch.setattr(folders, "ECGDataset", Val)
    monkeypatch.setattr(folders, "check_data", lambda run: None)
    for metric in ("val_hidden_r", "val_hidden_r2"):
        with pytest.raises(UserError, match="choose --metric val_r"):
            folders.check_order(order_of(metric=metric))
    folders.check_order(order_of(metric="val_r"))
    mask[3, lead_indices(["V2"])] = True
    folders.check_order(order_of(metric="val_hidden_r"))


def test_a_search_that_runs_elsewhere_is_not_called_unfinished(tmp_path):
    folder = kept(tmp_path)
    assert folders.unfinished_searches(tmp_path, CONTENT) == ["half"]
    with owned(folder):
        assert folders.unfinished_searches(tmp_path, CONTENT) == []


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_announces_nothing(tmp_path, monkeypatch, quiet):
    kept(tmp_path, entry.new_order(entry.parser().parse_args(["--space", "ttt_mode", "--name", "half"])))
    for name, stand_in in {"check_order": lambda order: None, "data_name": lambda run: ""}.items():
        monkeypatch.setattr(folders, name, stand_in)
    for name in ("go", "show"):
        monkeypatch.setattr(entry, name, lambda *_: None)
    said = io.StringIO()
    words = ["--space", "ttt_mode", "--results", str(tmp_path), "--name", "new", *(["--quiet"] if quiet else [])]
    entry.run_new(entry.parser().parse_args(words), Console(file=said, width=200))
    text = said.getvalue()
    assert text == "" if quiet else "unfinished: half" in text and "new: 8 trials" in text


def test_list_wants_a_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file", "--list") == 2
    assert "expected a folder" in capsys.readouterr().err


def test_list_names_spaces_and_searches_with_their_state(tmp_path, capsys):
    order = Order(
        "half", "mine", "mine.yaml", {"about": "x"}, tiny_run(), "v1.yaml", 4, "grid", "val_r", True, 1, 3, 1, 1
    )
    write_order(tmp_path / "searches" / "half", order)
    assert run(tmp_path, "--list") == 0
    said = capsys.readouterr().out
    assert "ttt_mode" in said and "half" in said and "unfinished" in said and "0 of 4" in said


def test_resume_takes_no_settings_of_its_own(tmp_path, capsys):
    order = Order("half", "mine", "gone", {"about": "x"}, tiny_run(), "v1.yaml", 4, "grid", "val_r", True, 1, 3, 1, 1)
    write_order(tmp_path / "searches" / "half", order)
    assert run(tmp_path, "--resume", "half", "--trials", "9") == 2
    assert "--trials" in capsys.readouterr().err
    assert read_order(tmp_path / "searches" / "half") == order


def test_paths_become_absolute_since_workers_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = entry.parser().parse_args(["--space", "ttt_mode", "--data", "wfdb", "--data-root", "records"])
    run = asking.base_run(args, CONFIG)
    assert run.data.root == str(tmp_path / "records")


def test_every_rung_of_asha_is_a_validation(tmp_path):
    for steps in (9, 225, 600, 1000):
        order = entry.new_order(entry.parser().parse_args(["--space", "ttt_mode", "--steps", str(steps)]))
        assert order.grace % order.base.train.validate_every == 0 or order.base.train.validate_every == order.grace
        assert order.grace * order.reduction**2 >= steps  # no rung just before the end


def test_a_trial_has_the_threads_of_its_cpus():
    for words, threads in (([], 1), (["--cpus-per-trial", "2"], 2), (["--threads", "3"], 3)):
        order = entry.new_order(entry.parser().parse_args(["--space", "ttt_mode", *words]))
        assert order.base.train.threads == threads


def test_settings_by_their_path_are_respected():
    def train(*words):
        return entry.new_order(entry.parser().parse_args(["--space", "ttt_mode", *words])).base.train

    assert train("--set", "train.threads=2").threads == 2
    assert train("--set", "train.threads = 2", "--cpus-per-trial", "3").threads == 2
    assert train("--threads", "2", "--set", "train.threads=2").threads == 2
    assert train("--set", "train.steps = 50").steps == 50
    assert train("--set", " train.validate_every = 7").validate_every == 7
    assert train("--steps", "50", "--set", "train.steps=50").steps == 50


def test_steps_of_the_space_come_before_those_of_the_config(tmp_path):
    (tmp_path / "own.yaml").write_text(CONFIG.read_text().replace("steps: 600 ", "steps: 77 "))
    (tmp_path / "mine.yaml").write_text("about: x\nspace: {m: [1, 2]}\n")
    for space, steps in (("ttt_mode", 225), (str(tmp_path / "mine.yaml"), 77)):
        words = ["--space", space, "--config", str(tmp_path / "own.yaml")]
        assert entry.new_order(entry.parser().parse_args(words)).base.train.steps == steps


def test_grace_is_no_less_than_a_twentieth():
    for words, grace in ((["100"], 50), (["3"], 112), (["2"], 250)):
        args = entry.parser().parse_args(["--space", "ttt_mode", "--steps", "1000", "--reduction-factor", *words])
        assert entry.new_order(args).grace == grace


def test_a_space_at_home_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.yaml").write_text("about: x\nspace: {m: [1, 2]}\n")
    order = entry.new_order(entry.parser().parse_args(["--space", "~/x.yaml"]))
    assert order.space_file == str(tmp_path / "x.yaml")


def test_resume_command_repeats_how_it_was_run():
    args = entry.parser().parse_args(
        ["--space", "ttt_mode", "--results", "a b", "--concurrency", "2", "--trial-time-limit", "60"]
    )
    args.resume = "one"
    command = "python run_search.py --resume one --results 'a b' --concurrency 2 --trial-time-limit 60.0"
    assert entry.resume_words(args) == command


@pytest.mark.parametrize(
    ("words", "says"),
    [([], "loading, and starting workers: some seconds\n"), (["--quiet"], ""),
     (["--address", "head:6379"], "loading, and joining head:6379: some seconds\n")],
)  # fmt: skip
def test_something_is_said_before_ray_is_there(words, says, monkeypatch, capsys):
    said = []

    @contextlib.contextmanager
    def ray(address, beforehand):
        said.append(capsys.readouterr().out)
        yield None

    monkeypatch.setattr(entry.cluster, "running", ray)
    monkeypatch.setattr(entry, "_import_driver", lambda: None)
    how = asking.how_of(entry.parser().parse_args(["--space", "ttt_mode", *words]))
    with entry.ray_beside_imports(how, 6, Console()):
        assert said == [says]
