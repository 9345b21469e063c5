"""The best run's evaluation card: the model beside its baselines, as a chart with intervals and as tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ecggen.card import HEADERS, SHOWN
from search.report.facts import Facts
from search.report.theme import ACCENT, RAISED, SOFT, Chart, axis, finished, plain
from search.report.wording import NONE, interval, number

MODEL = "model"
# Marks of the others, in the order in which they first appear: told apart by shape, not by colour alone.
SHAPES = ("circle-open", "square-open", "diamond-open", "triangle-up-open", "cross-thin-open", "star-open")
LANE = 0.14  # distance of two marks of one set


@dataclass(frozen=True)
class RivalRow:
    """One rival on one set of shown leads, as text."""

    name: str
    is_model: bool
    r: str
    r_interval: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class SetTable:
    """All rivals on one set of shown leads; `reason` where none could be judged."""

    shown: str
    judged: str
    rows: tuple[RivalRow, ...]
    beats: str = ""
    paired: str = ""
    reason: str = ""


def set_tables(card: Mapping[str, Any]) -> list[SetTable]:
    """The reconstruction part of a card."""
    return [_table(name, entry) for name, entry in card["reconstruction"].items()]


def _table(name: str, entry: Mapping[str, Any]) -> SetTable:
    if not entry.get("records"):
        return SetTable(name, "", (), reason=str(entry.get("reason", "no record has these leads")))
    judged = "all twelve" if len(entry["scored"]) == 12 else ", ".join(entry["scored"])
    rows = tuple(_row(rival, figures) for rival, figures in entry["rivals"].items())
    paired = next(
        (f"r minus that of {_rival_of(key)}, record by record: {interval(*ends, digits=3, sign=True)} (95 %)"
         for key, ends in entry.items() if key.startswith("r_over_") and ends),
        "",
    )  # fmt: skip
    return SetTable(name, judged, rows, f"{entry['beats']:,} beats of {entry['records']:,} records", paired)


def _rival_of(key: str) -> str:
    return key.removeprefix("r_over_").replace("_", " ")


def _row(rival: str, figures: Mapping[str, Any]) -> RivalRow:
    cells = [_shown(figures[key]["value"], form) for key, form in SHOWN]
    return RivalRow(rival, rival == MODEL, cells[0], interval(*figures["r"]["interval"], digits=3), tuple(cells[1:]))


def _shown(value: float | None, form: str) -> str:
    return NONE if value is None or not math.isfinite(value) else form.format(value).replace("-", "−")


def other_headers() -> tuple[str, ...]:
    """Column headings of what a row has beside r."""
    return tuple(header.replace("R2", "R²") for header in HEADERS[1:])


def rivals_chart(facts: Facts) -> Chart:
    """r with its 95 % interval of the model and every rival, by the leads that were shown."""
    if facts.card is None:
        return Chart("rivals", reason=f"No chart: {facts.why['card']}.")
    judged = [(name, entry) for name, entry in facts.card["reconstruction"].items() if entry.get("records")]
    if not judged:
        return Chart("rivals", reason="No chart: no record could be judged.")
    names = list(dict.fromkeys(rival for _, entry in judged for rival in entry["rivals"]))
    figure, legend = go.Figure(), []
    for at, rival in enumerate(names):
        is_model = rival == MODEL
        shape = "circle" if is_model else SHAPES[(at - 1) % len(SHAPES)]
        figure.add_trace(_marks(rival, judged, at * LANE, shape, ACCENT if is_model else SOFT))
        legend.append((f"mark {shape}", rival))
    ticks = [-at + LANE * (len(names) - 1) / -2 for at in range(len(judged))]
    labels = [plain(name.replace(",", ", ")) for name, _ in judged]
    y = axis(tickvals=ticks, ticktext=labels, showgrid=False, fixedrange=True)
    figure.update_layout(xaxis=axis("r, 95 % interval"), yaxis=y)
    for at in range(0, len(judged), 2):  # bands keep the marks of one set together
        ends = (-at + LANE, -at - LANE * len(names))
        figure.add_hrect(y0=ends[0], y1=ends[1], fillcolor=RAISED, line_width=0, layer="below")
    label = "; ".join(_said(name, entry) for name, entry in judged)
    height = 80 + 76 * len(judged)
    return Chart("rivals", finished(figure, height), f"{label}.", legend=tuple(legend))


def _marks(rival: str, judged: list[tuple[str, Mapping[str, Any]]], lane: float, shape: str, colour: str) -> go.Scatter:
    """One rival on all sets that it was judged on."""
    sets = [(at, name, entry["rivals"].get(rival)) for at, (name, entry) in enumerate(judged)]
    known = [(at, name, one["r"]) for at, name, one in sets if one is not None and one["r"]["value"] is not None]
    ends = [[r["value"] if end is None else end for end in r["interval"]] for _, _, r in known]
    reach = {
        "array": [high - r["value"] for (_, _, r), (_, high) in zip(known, ends, strict=True)],
        "arrayminus": [r["value"] - low for (_, _, r), (low, _) in zip(known, ends, strict=True)],
    }
    said = [f"r {number(r['value'], 3)}, {interval(*r['interval'], digits=3)}" for _, _, r in known]
    size = 10 if rival == MODEL else 8
    return go.Scatter(
        x=[r["value"] for _, _, r in known],
        y=[-at - lane for at, _, _ in known],
        error_x={"type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 3, **reach},
        mode="markers",
        marker={"symbol": shape, "color": colour, "size": size, "line": {"width": 1.6, "color": colour}},
        text=[f"{plain(name)}<br>{plain(rival)}: {text}" for (_, name, _), text in zip(known, said, strict=True)],
        hoverinfo="text",
    )


def _said(name: str, entry: Mapping[str, Any]) -> str:
    return f"{name} shown: " + ", ".join(
        f"{rival} {number(figures['r']['value'], 3)}" for rival, figures in entry["rivals"].items()
    )


def state_rows(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the card says of W, of its probe and of the recordings, as term and description."""
    rows = []
    probe = card.get("probe")
    if probe:
        auroc = f"macro AUROC {number(probe['auroc'], 3)} ({interval(*probe['interval'], digits=3)})"
        each = ", ".join(f"{name} {number(value, 3)}" for name, value in probe["per_class"].items())
        rows.append(
            (f"{probe['kind'].capitalize()} head on frozen W", f"{auroc}; {each}; {probe['records']:,} records")
        )
    state = card["state"]
    rows.append(("Directions of W in use", f"{state['rank']} of {state['size']} over {state['records']:,} records"))
    twelve = card["reconstruction"].get("all twelve", {})
    if twelve.get("records"):
        rows.append(("Residual's share of the rendered energy", number(twelve["residual_share"], 4)))
        covered = f"{number(100 * twelve['coverage'], 0)} % of the records covered"
        rows.append(("Beats judged", f"{twelve['beats']:,}, {covered}; {twelve['left_out']:,} at the edges left out"))
    if card.get("source"):
        rows.append(("Rendered source against the true one", f"r {number(card['source'].get('r'), 3)}"))
    return rows
