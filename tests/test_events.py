"""TensorBoard reads what we write, with TensorBoard's own reader."""

import csv
import math

import pytest

from ecggen.errors import Interrupted
from ecggen.events import PREFIX, EventFile
from ecggen.runs import run_and_keep
from tests.tiny import tiny_run

ROWS = [
    {"step": 5.0, "seconds": 2.0, "train_loss": 1.5, "val_hidden_r": 0.25},
    {"step": 10.0, "seconds": 4.0, "train_loss": 1.25, "val_hidden_r": math.nan},
]


def read(folder):
    """Tag -> (step, value, time) of each of its points, as TensorBoard sees them."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(each.step, each.value, each.wall_time) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def points(folder):
    return {tag: [(step, value) for step, value, _ in curve] for tag, curve in read(folder).items()}


def test_figures_are_read_at_their_steps_and_those_that_are_not_numbers_are_left_out(tmp_path):
    with EventFile(tmp_path) as events:
        for row in ROWS:
            events.add(row)
    assert points(tmp_path) == {"train_loss": [(5, 1.5), (10, 1.25)], "val_hidden_r": [(5, 0.25)]}


def test_the_time_axis_is_that_of_the_training(tmp_path):
    EventFile(tmp_path, ROWS).close()
    first, second = (when for _, _, when in read(tmp_path)["train_loss"])
    assert second - first == pytest.approx(2.0, abs=1e-3)


def test_a_new_file_replaces_that_of_an_earlier_try(tmp_path):
    EventFile(tmp_path, ROWS).close()
    EventFile(tmp_path, ROWS[:1]).close()
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 1
    assert points(tmp_path)["train_loss"] == [(5, 1.5)]


def test_a_run_leaves_its_curve_whether_it_was_trained_here_or_is_carried_on(tmp_path):
    run = tiny_run()  # validates at 3 and 6

    def stop(step, row):
        raise Interrupted("now")

    with pytest.raises(Interrupted):
        run_and_keep(run, "m1s1k1", tmp_path, quiet=True, say=lambda _: None, report=stop)
    folder = run_and_keep(run, "m1s1k1", tmp_path, quiet=True, say=lambda _: None, resume=True)
    with (folder / "history.csv").open(newline="") as stream:
        history = [(int(float(row["step"])), float(row["val_hidden_r"])) for row in csv.DictReader(stream)]
    assert [step for step, _ in history] == [3, 6]
    assert points(folder)["val_hidden_r"] == [(step, pytest.approx(value)) for step, value in history]


def test_what_a_trial_turns_is_in_the_table_of_hyper_parameters(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    EventFile(tmp_path, ROWS, {"m": 2, "train.lr": 0.001, "kind": "mlp"}, "val_hidden_r").close()
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["m"].number_value == 2 and told["train.lr"].number_value == 0.001
    assert told["kind"].string_value == "mlp"
    assert "_hparams_/session_end_info" in found.summary_metadata
