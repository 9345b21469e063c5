"""The full card as a Markdown page: tables that can go into a report as they are."""

import math
from typing import Any

from ecggen.rivals import MODEL

COLUMNS = {"r": "r", "r2": "R2", "rmse": "RMSE mV", "snr": "SNR dB", "sd_ratio": "sd ratio", "slope": "slope"}
DIGITS = {"snr": 1}  # after the point, where it is not three
Figure = dict[str, Any]  # value, interval


def card_as_markdown(card: dict[str, Any]) -> str:
    """The page."""
    made = card["made"]
    kind = {"val": "validation figures: this split also chose the checkpoint and the penalties", "test": "test figures"}
    said = kind.get(card["split"], "training figures among them")
    said = said if card["own_data"] else "data that the model was not trained on"
    seconds = ", ".join(f"{name} {value:g}" for name, value in made["seconds"].items())
    lines = [
        f"# {made['folder']}: {card['data']}, split {card['split']}, {card['records']} records",
        "",
        f"{said[0].upper()}{said[1:]}. 95 % bootstrap intervals over records ({made['bootstrap']} resamples).",
        "",
        f"    {made['command']}",
        "",
        f"Commit {made['commit']}; settings {made['settings'][:12]}, seed {made['seed']}; seconds: {seconds} "
        f"(threads: {made['threads']}); {made['when']}.",
        *_reconstruction(card["reconstruction"]),
        *_leads(card["reconstruction"]),
        *_readouts(card.get("readouts")),
        *_state(card),
    ]
    return "\n".join(lines) + "\n"


def shown(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def with_interval(figure: Figure, digits: int = 3) -> str:
    """`value [low, high]`."""
    low, high = figure["interval"]
    return f"{shown(figure['value'], digits)} [{shown(low, digits)}, {shown(high, digits)}]"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table with an empty line before it."""
    return ["", *(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))]


def _reconstruction(sets: dict[str, Any]) -> list[str]:
    rows = []
    for visible, entry in sets.items():
        if not entry["records"]:
            rows.append([visible, entry["reason"], *[""] * (len(COLUMNS) + 1)])
            continue
        judged = "all" if len(entry["scored"]) == 12 else ", ".join(entry["scored"])
        label = f"{visible} -> {judged}"
        for who, figures in entry["rivals"].items():
            less = with_interval(entry["model_less"][who]["r"]) if who in entry["model_less"] else ""
            cells = [with_interval(figures[metric], DIGITS.get(metric, 3)) for metric in COLUMNS]
            name = f"**{who}**" if who == MODEL else who
            rows.append([label, name, *cells, less])
            label = ""
    head = ["shown -> judged", "who", *COLUMNS.values(), "model less this, r"]
    return ["", "## Reconstruction: every beat against its own chunk's W", *table(head, rows)]


def _leads(sets: dict[str, Any]) -> list[str]:
    rows = []
    for visible, entry in sets.items():
        for lead, figures in entry["leads"][MODEL].items() if entry["records"] else ():
            rows.append([visible, lead, *(with_interval(figures[metric], DIGITS.get(metric, 3)) for metric in COLUMNS)])
    return ["", "## The model lead by lead", *table(["shown", "lead", *COLUMNS.values()], rows)]


def _readouts(readouts: dict[str, Any] | None) -> list[str]:
    if readouts is None:
        return ["", "No probes: there are no labels of this task to learn from and to judge by."]
    labels = readouts["labels"]
    counted = "; ".join(
        f"{share}: {plan['records']} training records" + (f", {plan['draws']} draws" if plan["draws"] > 1 else "")
        for share, plan in labels.items()
    )
    rows = []
    for who, reader in readouts["readers"].items():
        cells = [_share(reader[share]) for share in labels]
        each = [with_interval(figure) for figure in reader["100 %"]["per_class"].values()]
        rows.append([who, str(reader["size"]), *cells, *each, ", ".join(reader["100 %"]["penalties"])])
    head = ["read from", "features", *(f"{share} of labels" for share in labels)]
    head += [f"{name}, 100 %" for name in readouts["classes"]] + ["penalty, 100 %"]
    less = [
        [f"{ours} - {control}", *(with_interval(by_share[share]) for share in labels)]
        for ours, controls in readouts["less"].items()
        for control, by_share in controls.items()
    ]
    return [
        "",
        "## Probe: macro AUROC of logistic regression on frozen features",
        "",
        f"Judged on {readouts['records']} records ({readouts['unlabelled']} more have no label); the penalty is chosen "
        f"on {readouts['validation_records']} validation records. {counted}. Few labels: mean over draws, sd over "
        "draws after +-, intervals over records and draws.",
        *table(head, rows),
        *table(["difference, paired", *(f"{share} of labels" for share in labels)], less),
    ]


def _share(figures: dict[str, Any]) -> str:
    text = with_interval({"value": figures["auroc"], "interval": figures["interval"]})
    return text if figures["sd"] is None else f"{text} +- {shown(figures['sd'])}"


def _state(card: dict[str, Any]) -> list[str]:
    state = card["state"]
    rows = [["directions of W in use", f"{state['rank']} of {state['size']} over {state['records']} records"]]
    twelve = card["reconstruction"].get("all twelve", {})
    if twelve.get("records"):
        share = {"value": twelve["residual_share"], "interval": twelve["residual_share_interval"]}
        rows.append(["residual's share of the rendered energy, all twelve", with_interval(share, 4)])
        rows.append(["beats judged, all twelve", f"{twelve['beats']}, {twelve['left_out']} left out at the edges"])
    if card.get("source"):
        rows.append(["rendered source against the true one, r", shown(card["source"]["r"])])
    return ["", "## State", *table(["what", "figure"], rows)]
