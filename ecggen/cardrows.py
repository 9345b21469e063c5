"""The full card as long rows, one figure each: what a table program or pandas wants.

| column | content |
|---|---|
| part | `reconstruction`; `difference`; `probe 100 %` and so on; `probe difference 100 %` and so on; `state` |
| visible | the leads shown |
| who | the model, a rival, a reader; `A - B` where the figure is a difference on the same records |
| lead | a lead, `all` judged ones, or in probe rows a class or `macro` |
| metric, value | figure; `sd over draws` of few labels and `records` among them |
| low, high | 95 % bootstrap interval over records, empty where there is none |
"""

import csv
import io
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ecggen.rivals import MODEL


class Row(NamedTuple):
    """One figure."""

    part: str
    visible: str
    who: str
    lead: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None


def card_rows(card: dict[str, Any]) -> list[Row]:
    """All figures of a full card."""
    rows = [*_reconstruction(card["reconstruction"]), *_state(card)]
    if card.get("readouts"):
        rows += _readouts(card["readouts"])
    return rows


def _row(part: str, visible: str, who: str, lead: str, metric: str, figure: dict[str, Any]) -> Row:
    low, high = figure["interval"]
    return Row(part, visible, who, lead, metric, figure["value"], low, high)


def _reconstruction(sets: dict[str, Any]) -> Iterator[Row]:
    for visible, entry in sets.items():
        if not entry["records"]:
            continue
        for who, figures in entry["rivals"].items():
            for metric, figure in figures.items():
                yield _row("reconstruction", visible, who, "all", metric, figure)
            for lead, each in entry["leads"][who].items():
                for metric, figure in each.items():
                    yield _row("reconstruction", visible, who, lead, metric, figure)
        for who, figures in entry["model_less"].items():
            for metric, figure in figures.items():
                yield _row("difference", visible, f"{MODEL} - {who}", "all", metric, figure)


def _state(card: dict[str, Any]) -> Iterator[Row]:
    for visible, entry in card["reconstruction"].items():
        if not entry["records"]:
            continue
        share = {"value": entry["residual_share"], "interval": entry["residual_share_interval"]}
        yield _row("state", visible, MODEL, "all", "residual_share", share)
        for name in ("records", "beats", "left_out", "fallback", "coverage"):
            yield Row("state", visible, MODEL, "all", name, entry[name])
    yield Row("state", "all twelve", MODEL, "all", "rank", card["state"]["rank"])
    if card.get("source"):
        yield Row("state", "all twelve", MODEL, "all", "source_r", card["source"]["r"])


def _readouts(readouts: dict[str, Any]) -> Iterator[Row]:
    shares = list(readouts["labels"])
    for who, shown in readouts["readers"].items():
        for share in shares:
            part, figures = f"probe {share}", shown[share]
            macro = {"value": figures["auroc"], "interval": figures["interval"]}
            yield _row(part, "all twelve", who, "macro", "auroc", macro)
            if figures["sd"] is not None:
                yield Row(part, "all twelve", who, "macro", "sd over draws", figures["sd"])
            for name, figure in figures["per_class"].items():
                yield _row(part, "all twelve", who, name, "auroc", figure)
            yield Row(part, "all twelve", who, "macro", "records", readouts["labels"][share]["records"])
    for ours, controls in readouts["less"].items():
        for control, by_share in controls.items():
            for share in shares:
                who = f"{ours} - {control}"
                yield _row(f"probe difference {share}", "all twelve", who, "macro", "auroc", by_share[share])


def rows_as_csv(rows: list[Row]) -> str:
    """CSV with a header; figures that are none are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows:
        writer.writerow(["" if isinstance(v, float) and not math.isfinite(v) else v for v in row])
    return stream.getvalue()
