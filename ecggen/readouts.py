"""The probe card: what a linear reader finds in W with all, a tenth and a hundredth of the labels, and in controls.

Every reader is the same logistic regression, its penalty chosen on the validation split, fitted on the same training
records and judged on the same others; so that any two are compared on the same bootstrap samples. Few labels are drawn
several times, and the draws are resampled with the records.

Letters: R records, D features, Y classes, S bootstrap samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecggen.auroc import class_areas, macro
from ecggen.config import RunConfig
from ecggen.controls import draw_features, fit_components, mean_beats, untrained
from ecggen.data.pipeline import ECGDataset
from ecggen.labels import SHARES, label_draws
from ecggen.metrics import interval, resample_counts
from ecggen.models.ecggen import ECGGenModel
from ecggen.probe import States, encode_states, fit_head, has_two_kinds, scores_of

LAST, POOLED = "W, last chunk", "W, mean over chunks"
RANDOM_LAST, RANDOM_POOLED = "random weights, last chunk", "random weights, mean over chunks"
# The same wide random layer before the same logistic regression, as the strongest control has it before the mean beat.
WIDE = "W, mean over chunks, random ReLU features"
RANDOM_WIDE = "random weights, mean over chunks, random ReLU features"
BEAT, COMPONENTS, FEATURES = "mean beat", "mean beat, principal components", "mean beat, random ReLU features"
# Which controls each reading of W is compared with: the untrained model is read as the trained one is.
CONTROLS = {
    LAST: (RANDOM_LAST, BEAT, COMPONENTS, FEATURES),
    POOLED: (RANDOM_POOLED, BEAT, COMPONENTS, FEATURES),
    WIDE: (RANDOM_WIDE, FEATURES),
}
SPLITS = ("train", "val", "judged")
DRAW_SEED = 1  # another one than that of the records' samples, which would tie draws to records


@dataclass(frozen=True)
class Reader:
    """What one reader finds with one share of the labels.

    Attributes:
        areas: [draws, Y] AUROC of each class, NaN where the judged records do not show both outcomes.
        boot: [draws, Y, S] the same in every bootstrap sample of the records.
        penalties: of each draw, in words.
    """

    areas: np.ndarray
    boot: np.ndarray
    penalties: list[str]


def readout_card(
    model: ECGGenModel, own: RunConfig, judged: ECGDataset, resamples: int, limit: int | None = None
) -> dict[str, Any] | None:
    """Every reader with every share of the labels, and W less each control.

    Args:
        model: on the CPU.
        own: the run that the model was trained by; its splits fit and choose the readers.
        judged: the records to judge on, with labels of the same task.
        resamples: bootstrap samples of records and draws.
        limit: judge at most so many records, evenly spaced.

    Returns:
        see `results/README.md`; None where there are no labels of two kinds to learn from or to judge by.
    """
    datasets = {"train": ECGDataset(own, "train"), "val": ECGDataset(own, "val"), "judged": judged}
    if not judged.classes or any(dataset.classes != judged.classes for dataset in datasets.values()):
        return None
    known = {part: encode_states(model, data, limit if part == "judged" else None) for part, data in datasets.items()}
    targets = {part: states.targets for part, states in known.items()}
    if not (has_two_kinds(targets["train"]) and has_two_kinds(targets["judged"])):
        return None
    draws = {share: label_draws(targets["train"], *plan) for share, plan in SHARES.items()}
    counts = np.ascontiguousarray(resample_counts(len(targets["judged"]), resamples).T, np.float32)
    readers: dict[str, dict[str, Reader]] = {}
    sizes = {}
    for name, x in _all_features(model, datasets, known, limit):
        sizes[name] = x["train"].shape[1]
        readers[name] = {share: _read(x, targets, rows, counts, judged.multi_label) for share, rows in draws.items()}
    return {
        "classes": list(judged.classes),
        "records": len(targets["judged"]),
        "unlabelled": known["judged"].unlabelled,
        "validation_records": len(targets["val"]),
        "labels": {share: {"records": len(rows[0]), "draws": len(rows)} for share, rows in draws.items()},
        "readers": {
            name: {"size": sizes[name], **{share: _figures(found, judged.classes) for share, found in shares.items()}}
            for name, shares in readers.items()
        },
        "less": {ours: _less(readers, ours) for ours in CONTROLS},
    }


def _all_features(
    model: ECGGenModel,
    datasets: dict[str, ECGDataset],
    known: dict[str, States],
    limit: int | None,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Each reader's features [R, D] by split, one after the other: some are large."""
    limits = {part: limit if part == "judged" else None for part in datasets}
    yield LAST, {part: known[part].w for part in SPLITS}
    yield POOLED, {part: known[part].w_mean for part in SPLITS}
    plain = untrained(model)
    random = {part: encode_states(plain, data, limits[part]) for part, data in datasets.items()}
    yield RANDOM_LAST, {part: random[part].w for part in SPLITS}
    yield RANDOM_POOLED, {part: random[part].w_mean for part in SPLITS}
    for name, states in ((WIDE, known), (RANDOM_WIDE, random)):
        widen = draw_features(states["train"].w_mean, one_unit=False)
        yield name, {part: widen(states[part].w_mean) for part in SPLITS}
    beats = {part: mean_beats(model.tokenizer, data, limits[part]) for part, data in datasets.items()}
    if not len(beats["val"]):
        beats["val"] = np.zeros((0, beats["train"].shape[1]), np.float32)
    yield BEAT, beats
    for name, make in ((COMPONENTS, fit_components), (FEATURES, draw_features)):
        read = make(beats["train"])
        yield name, {part: read(beats[part]) for part in SPLITS}


def _read(
    x: dict[str, np.ndarray],
    targets: dict[str, np.ndarray],
    draws: list[np.ndarray],
    counts: np.ndarray,
    multi_label: bool,
) -> Reader:
    """Fit and judge one reader on every draw of its labels. counts [R, S]."""
    areas, boot, penalties = [], [], []
    once = np.ones((len(counts), 1), np.float32)
    for rows in draws:
        head, penalty = fit_head(
            "linear", x["train"][rows], targets["train"][rows], x["val"], targets["val"], multi_label
        )
        scores = scores_of(head, x["judged"])
        areas.append(class_areas(targets["judged"], scores, once)[:, 0])
        boot.append(class_areas(targets["judged"], scores, counts))
        penalties.append(penalty)
    return Reader(np.stack(areas), np.stack(boot), penalties)


def _over_draws(boot: np.ndarray) -> np.ndarray:
    """Mean over draws [draws, S] -> [S], the draws of every bootstrap sample drawn anew, alike for all readers."""
    picked = np.random.default_rng(DRAW_SEED).integers(0, len(boot), boot.shape)
    mean: np.ndarray = np.take_along_axis(boot, picked, axis=0).mean(0)
    return mean


def _macro_boot(reader: Reader) -> np.ndarray:
    return _over_draws(np.stack([macro(each) for each in reader.boot]))


def _macro_draws(reader: Reader) -> np.ndarray:
    return macro(reader.areas.T)


def _figures(reader: Reader, classes: tuple[str, ...]) -> dict[str, Any]:
    """Macro AUROC and each class's, means over draws with intervals; each draw's macro AUROC, penalty, their sd."""
    draws = _macro_draws(reader)
    return {
        "auroc": float(draws.mean()),
        "interval": interval(_macro_boot(reader)),
        "sd": float(draws.std(ddof=1)) if len(draws) > 1 else None,
        "draws": draws.tolist(),
        "penalties": reader.penalties,
        "per_class": {
            name: {"value": float(reader.areas[:, y].mean()), "interval": interval(_over_draws(reader.boot[:, y]))}
            for y, name in enumerate(classes)
        },
    }


def _difference(ours: Reader, theirs: Reader) -> dict[str, Any]:
    """Macro AUROC of ours less theirs on the same records and draws."""
    return {
        "value": float(_macro_draws(ours).mean() - _macro_draws(theirs).mean()),
        "interval": interval(_macro_boot(ours) - _macro_boot(theirs)),
    }


def _less(readers: dict[str, dict[str, Reader]], ours: str) -> dict[str, dict[str, Any]]:
    """One reading of W less each of its controls, by share of the labels."""
    return {
        control: {share: _difference(readers[ours][share], readers[control][share]) for share in SHARES}
        for control in CONTROLS[ours]
    }
