"""The command line of the search: what is refused, in one line, before Ray starts; what is only shown."""

import pytest

import run_search as entry
from search.order import Order, read_order, write_order
from tests.conftest import REPO
from tests.tiny import tiny_run


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
        (["--space", "regularizers", "--algorithm", "grid", "--dry-run", "--set", "train.steps=5"], ""),
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


def test_budget_of_recordings_is_larger_than_that_of_the_simulator(tmp_path, capsys):
    run(tmp_path, "--space", "ttt_mode", "--dry-run", "--data", "wfdb", "--data-root", "records")
    assert "trainings of 1350 steps" in capsys.readouterr().out


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
    run = entry.base_run(args, REPO / "configs" / "train" / "v1.yaml")
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


def test_resume_command_repeats_how_it_was_run():
    args = entry.parser().parse_args(["--space", "ttt_mode", "--results", "a b", "--concurrency", "2"])
    args.resume = "one"
    assert entry.resume_words(args) == "python run_search.py --resume one --results 'a b' --concurrency 2"
