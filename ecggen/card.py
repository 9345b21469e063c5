"""The evaluation card on screen: what `metrics.json` says, as tables."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.errors import ConsoleError
from rich.table import Table
from rich.text import Text

from ecggen.errors import UserError, one_line
from ecggen.plainfile import read_json

METRICS_FILE = "metrics.json"
PARTS = ("runid", "data", "own_data", "split", "records", "rejected", "reconstruction", "state")
SHOWN = (
    ("r", "{:.3f}"),
    ("r2", "{:.3f}"),
    ("rmse", "{:.3f}"),
    ("snr", "{:.1f}"),
    ("sd_ratio", "{:.2f}"),
    ("slope", "{:.2f}"),
)
HEADERS = ("r", "R2", "RMSE mV", "SNR dB", "sd ratio", "slope")


def read_card(folder: Path) -> dict[str, Any]:
    """The evaluation card of a finished folder. Raises UserError where it cannot be read."""
    path = folder / METRICS_FILE
    try:
        card: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected an evaluation card, got none ({error}); make one with --mode eval") from None
    missing = [name for name in PARTS if not isinstance(card, dict) or name not in card]
    if missing:
        raise UserError(f"{path}: expected an evaluation card, got one without {missing[0]}; make one with --mode eval")
    return card


def print_card(card: dict[str, Any], console: Console | None = None) -> None:
    """Print an evaluation card as `judging.evaluate` makes it. Raises UserError for one that was altered."""
    console = console or Console(width=132, markup=False, emoji=False)
    try:
        parts = _parts(_printable(card))
    except (AttributeError, ConsoleError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise UserError(
            f"evaluation card: expected the figures of a run, got others ({fault!r}); make one with --mode eval"
        ) from None
    for part in parts:
        console.print(part)


def _printable(value: Any) -> Any:
    """Class names and ids come from strangers: a terminal must not obey them."""
    if isinstance(value, dict):
        return {_printable(name): _printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return one_line(value) if isinstance(value, str) else value


def _parts(card: dict[str, Any]) -> list[Any]:
    """The card from top to bottom: a line, and tables."""
    kind = {"val": "validation figures: this split also chose the checkpoint", "test": "test figures"}
    kind |= {"train": "training figures", "all": "training figures among them"}
    said = kind[card["split"]] if card["own_data"] else "data that the model was not trained on"
    about = f", {card['data']}, split {card['split']} ({said}), {card['records']} records"
    head = Text.assemble((str(card["runid"] or "run"), "bold"), about)
    tables = (_probe_table(card.get("probe")), _readout_table(card.get("readouts")), _state_table(card))
    return [head, _reconstruction_table(card["reconstruction"]), *filter(None, tables)]


def _show(value: float | None, form: str = "{:.3f}") -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None or value != value else form.format(value)


def _with_interval(value: float | None, interval: list[float | None]) -> str:
    return f"{_show(value)} [{_show(interval[0])}, {_show(interval[1])}]"


def _reconstruction_table(reconstruction: dict[str, Any]) -> Table:
    table = Table(title="Reconstruction of hidden leads, every beat against its own chunk's W", title_justify="left")
    table.add_column("shown -> judged")
    table.add_column("who")
    table.add_column("r [95 % interval]", justify="right")
    for header in HEADERS[1:]:
        table.add_column(header, justify="right")
    for name, entry in reconstruction.items():
        if not entry["records"]:
            table.add_row(name, entry["reason"])
            continue
        judged = "all" if len(entry["scored"]) == 12 else ", ".join(entry["scored"])
        label = f"{name} -> {judged}"
        for rival, figures in entry["rivals"].items():
            cells = [_show(figures[key]["value"], form) for key, form in SHOWN]
            bold = "bold" if rival == "model" else ""
            table.add_row(
                label, rival, _with_interval(figures["r"]["value"], figures["r"]["interval"]), *cells[1:], style=bold
            )
            label = ""
        table.add_section()
    return table


def _probe_table(probe: dict[str, Any] | None) -> Table | None:
    if probe is None:
        return None
    table = Table(title=f"{probe['kind']} head on frozen W ({probe['penalty']})", title_justify="left")
    table.add_column("macro AUROC [95 % interval]")
    table.add_column("accuracy")
    for name in probe["per_class"]:
        table.add_column(name, justify="right")
    table.add_column("records", justify="right")
    table.add_column("without label", justify="right")
    each = [_show(value) for value in probe["per_class"].values()]
    table.add_row(
        _with_interval(probe["auroc"], probe["interval"]),
        _show(probe["accuracy"]),
        *each,
        str(probe["records"]),
        str(probe["unlabelled"]),
    )
    return table


def _readout_table(readouts: dict[str, Any] | None) -> Table | None:
    """Of the full card: every reader, then W less each control."""
    if readouts is None:
        return None
    labels = readouts["labels"]
    table = Table(
        title="Linear probes and controls, macro AUROC [95 % interval] by share of labels", title_justify="left"
    )
    table.add_column("read from")
    for share, plan in labels.items():
        table.add_column(f"{share}, {plan['records']} records", justify="right")
    for who, reader in readouts["readers"].items():
        table.add_row(who, *(_with_interval(reader[share]["auroc"], reader[share]["interval"]) for share in labels))
    table.add_section()
    for ours, controls in readouts["less"].items():
        for control, by_share in controls.items():
            cells = [_with_interval(by_share[share]["value"], by_share[share]["interval"]) for share in labels]
            table.add_row(f"{ours} - {control}", *cells)
    return table


def _state_table(card: dict[str, Any]) -> Table:
    table = Table(title="State", title_justify="left")
    table.add_column("what")
    table.add_column("figure")
    state = card["state"]
    table.add_row("directions of W in use", f"{state['rank']} of {state['size']} over {state['records']} records")
    twelve = card["reconstruction"].get("all twelve", {})
    if twelve.get("records"):
        table.add_row("residual's share of the rendered energy", _show(twelve["residual_share"]))
        beats = f"{twelve['beats']}, {_show(twelve['coverage'], '{:.0%}')} of the records covered"
        table.add_row("beats judged", f"{beats}; {twelve['left_out']} at the edges left out")
        fallback = f"{twelve['fallback']} of {twelve['records']} records"
        table.add_row("no beats found, equal windows instead", fallback)
    if card.get("source") is not None:
        table.add_row("rendered source against the true one, r", _show(card["source"]["r"]))
    rejected = card["rejected"]
    most = f" (most: {rejected['most']})" if rejected["count"] else ""
    table.add_row("recordings left out, repaired", f"{rejected['count']}{most}, {rejected['repaired']}")
    return table
