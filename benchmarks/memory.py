"""What a training step keeps in memory for its way back.

    python benchmarks/memory.py

Counted, not sampled: every tensor that autograd saves in one step that shows all leads, each storage once, weights left
out. It is the same in every run of the same settings. See `step.py` for the settings.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.step import AMORTISED, SETTINGS, trainer

MEBI = 2**20


def kept_bytes(settings: Mapping[str, Any], **base: Any) -> tuple[int, int, int]:
    """Bytes that one training step saves for its gradients; those of weights and optimizer; records of the step."""
    training = trainer({"train.all_leads": 1.0, **settings}, **base)
    own = {p.untyped_storage().data_ptr() for p in training.model.parameters()}
    seen: dict[int, Tensor] = {}  # kept alive until all are counted, or an address would be used twice

    def keep(value: Tensor) -> Tensor:
        if value.untyped_storage().data_ptr() not in own:
            seen[value.untyped_storage().data_ptr()] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        training.train_step()
    weights = sum(p.nbytes for p in training.model.parameters() if p.grad is not None)
    records = min(training.cfg.batch_size, len(training.train_set))
    return sum(value.untyped_storage().nbytes() for value in seen.values()), 4 * weights, records


def measure(settings: Mapping[str, Mapping[str, Any]], **base: Any) -> list[str]:
    """One row a setting, a record's share beside the first one's."""
    found = {name: kept_bytes(own, **base) for name, own in settings.items()}
    kept, _, records = next(iter(found.values()))
    return [
        f"| {name} | {own / MEBI:.0f} | {own / many / (kept / records):.2f} | {weights / MEBI:.1f} |"
        for name, (own, weights, many) in found.items()
    ]


def main() -> None:
    rows = measure({name: own for name, own in SETTINGS.items() if name == AMORTISED or "records" not in name})
    print("| memory of a step | MiB kept for gradients | a record / amortised | MiB weights, gradients, moments |")
    print("|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
