"""What a training and a search watch on the validation split."""

import math

import numpy as np

from ecggen.data.pipeline import ECGDataset
from ecggen.eval import VALIDATION, validate, validation_figures, validation_sums
from ecggen.metrics import mean_r, r_squared
from ecggen.models.ecggen import ECGGenModel
from tests.tiny import tiny_run


def test_the_sums_of_the_validation_split_give_the_figures_that_a_training_watches():
    run = tiny_run()
    model, dataset = ECGGenModel(run.model), ECGDataset(run, "val")
    sums = validation_sums(model, dataset)
    assert sums["hidden"].shape == (len(dataset), 5, 6) and sums["all"].shape == (len(dataset), 12, 6)
    figures = validate(model, dataset, len(dataset))
    assert figures == validation_figures(sums) and list(figures) == list(VALIDATION)
    assert figures["val_hidden_r"] == mean_r(sums["hidden"].sum(0)) and figures["val_r2"] == r_squared(
        sums["all"].sum(0)
    )
    assert len(validation_sums(model, dataset, 3)["all"]) == 3


def test_where_nothing_can_be_judged_there_are_no_records_and_no_figures():
    run = tiny_run(data__simulator__records=1)
    nothing = min((ECGDataset(run, split) for split in ("train", "val")), key=len)
    assert len(nothing) == 0, "one record is in one split only"
    sums = validation_sums(ECGGenModel(run.model), nothing)
    assert {name: part.shape for name, part in sums.items()} == {"hidden": (0, 5, 6), "all": (0, 12, 6)}
    assert all(math.isnan(value) for value in validation_figures(sums).values())
    assert all(part.dtype == np.float64 for part in sums.values())
