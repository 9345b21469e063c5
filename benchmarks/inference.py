"""What inference costs: ECG to W and twelve rendered leads, one thread; and where the time of one record goes.

    python benchmarks/inference.py

Ten-second simulated records with all leads shown, R peaks found on the way. Untrained models of the default sizes: a
trained one computes the same. Ways take turns; times are the processor's. See `step.py`.
"""

from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from benchmarks.step import CHUNK, ESTIMATOR, MODE, interleaved, ratio, trainer
from ecggen.models.ecggen import ECGGenModel

REPEATS, WARM_UP = 60, 5
BOUND = 15.0  # ms a record
DEFAULT = "`vector`, chunk 1, one record"
MODELS: dict[str, dict[str, Any]] = {
    DEFAULT: {CHUNK: 1},
    "`mlp`, chunk 1, one record": {CHUNK: 1, MODE: "mlp"},
    "`vector`, chunk 2, one record": {},
    "`mlp`, chunk 2, one record": {MODE: "mlp"},
    "amortised encoder, chunk 2, one record": {ESTIMATOR: "amortised"},
}


def turning(model: ECGGenModel, ecg: torch.Tensor, size: int) -> Callable[[], None]:
    """A call reads the next `size` records."""
    at = 0

    def read() -> None:
        nonlocal at
        with torch.no_grad():
            model.forward_gen(ecg[at : at + size])
        at = (at + size) % (len(ecg) // size * size)

    return read


def parts(model: ECGGenModel, ecg: torch.Tensor) -> dict[str, Callable[[], object]]:
    """The stages of one record, each as a call of its own."""
    shown = torch.ones(1, ecg.shape[1], dtype=torch.bool)
    with torch.no_grad():
        spans = model.tokenizer.find_boundaries(ecg, shown).windows
        x, meta = model.tokenizer(ecg, shown, spans)
        masks = meta["lead_mask"], meta["beat_mask"]
        h = model.encoder(x, *masks)
        w = model.ttt(h, *masks)["W_seq"]
    stages: dict[str, Callable[[], object]] = {
        "of it: finding the beats": lambda: model.tokenizer.find_boundaries(ecg, shown),
        "of it: tokens": lambda: model.tokenizer(ecg, shown, spans),
        "of it: encoder": lambda: model.encoder(x, *masks),
        "of it: estimation": lambda: model.ttt(h, *masks),
        "of it: rendering": lambda: model.render(w),
    }
    return {name: torch.no_grad()(stage) for name, stage in stages.items()}


def measure(repeats: int, warm_up: int = WARM_UP, batch: int = 64, **base: Any) -> list[str]:
    """One row a way, a record's time beside that of the default model."""
    trainings = {name: trainer(own, **base) for name, own in MODELS.items()}
    default = trainings[DEFAULT]
    ecg = default.train_set.batch(range(min(batch, len(default.train_set))))["ecg"]
    tasks: dict[str, Callable[[], object]] = {
        name: turning(training.model.eval(), ecg, 1) for name, training in trainings.items()
    }
    tasks |= parts(default.model, ecg[:1])
    together = f"`vector`, chunk 1, {len(ecg)} records at once"
    tasks[together] = turning(default.model, ecg, len(ecg))
    seconds = interleaved(tasks, repeats, warm_up)
    rows = []
    for name, own in seconds.items():
        records = len(ecg) if name == together else 1
        bound = f"<= {BOUND:g}" if records == 1 and name in trainings else ""
        share = ratio(own, seconds[DEFAULT]) / records
        rows.append(f"| {name} | {1e3 * median(own) / records:.2f} | {share:.2f} | {bound} |")
    return rows


def main() -> None:
    print("| inference | ms a record | / default | bound, ms |\n|---|---|---|---|")
    print("\n".join(measure(REPEATS)))


if __name__ == "__main__":
    main()
