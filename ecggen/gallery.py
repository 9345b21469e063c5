"""What `main.py --mode plot` and `--mode data` do: find the record that is asked for, draw it, say what was seen.

Everything that can fail for want of a record, a lead or a folder fails before the first file is written.
"""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecggen.card import read_card
from ecggen.config import RunConfig
from ecggen.data.sources.catalog import make_source
from ecggen.data.sources.contract import Entry
from ecggen.errors import OutOfReach, UserError
from ecggen.eval import CHOOSING_SET, judging_split
from ecggen.examination import Examination, counted
from ecggen.examine import examine
from ecggen.leads import LEADS, canonical_lead
from ecggen.models.ecggen import ECGGenModel
from ecggen.observe import FIGURE_FILE, keep_portrait, observe
from ecggen.portrait import PORTRAIT_FILE, Portrait, read_portrait
from ecggen.runs import load_run

FIGURES = "figures"  # folder of the figures, in a run's folder or in the results folder
MOST_SECONDS = 60.0  # 1.5 m of paper
LONGEST_NAME = 80  # characters of a file's name


@dataclass(frozen=True)
class Choice:
    """What a user wants to see.

    Attributes:
        index: of the record, None = the first, unless `record` names one.
        record: id of the record.
        start: second at which the paper begins; None = 0, or where the window begins that `record` names.
        seconds: length of the paper, for recordings.
        visible: names of the leads that the model is shown, separated by commas; None = I, II, V2.
        out: folder of the figures; None = the usual one.
    """

    index: int | None = None
    record: str | None = None
    start: float | None = None
    seconds: float = 10.0
    visible: str | None = None
    out: Path | None = None


def draw_judged(folder: Path, run: RunConfig, choice: Choice) -> tuple[list[Path], list[str]]:
    """The four figures of one record as a finished run sees it, and the run's own portrait where it has none.

    Args:
        folder: of the finished run.
        run: the data and the split to look in.
        choice: which record, and how.

    Returns:
        the files, and lines for the user.

    Raises UserError where there is no such record, lead, second or folder.
    """
    model, own = load_run(folder)
    source = read_card(folder).get("source")
    source_map = source["map"] if source else None
    split, judged = judging_split(run)
    at = find_record(judged.ids, choice, f"split {split}")
    item, start = judged[at], choice.start or 0.0
    length = item["ecg"].shape[1] / run.model.signal.fs
    if not 0 <= start < length:
        raise UserError(
            f"--start: expected 0 to below {length:g} s, the length of the record, got {start:g}; begin in it"
        )
    present = [lead for lead, has in zip(LEADS, item["lead_mask"], strict=True) if has]
    visible, note = visible_leads(choice.visible, present)
    portrait = observe(model, item, visible, source_map)
    paths = _draw(portrait, start, output_folder(choice.out or folder / FIGURES))
    said = f"record {portrait.id}, index {at} of {len(judged)} in split {split}"
    lines = [f"{said}; shown to the model: {', '.join(visible)}", *note]
    return paths, [*lines, *_missing_portrait(model, own, run, folder, source_map)]


def _draw(portrait: Portrait, start: float, out: Path) -> list[Path]:
    """The four figures of a portrait as files in `out`."""
    from ecggen.figures.basis import basis_figure
    from ecggen.figures.ecg import ecg_figure
    from ecggen.figures.files import save
    from ecggen.figures.states import states_figure
    from ecggen.figures.vcg import vcg_figure

    figures = {
        "ecg": ecg_figure(portrait, start),
        "vcg": vcg_figure(portrait),
        "basis": basis_figure(portrait),
        "states": states_figure(portrait),
    }
    stem = file_name(portrait.id)
    return [path for name, figure in figures.items() for path in save(figure, out / f"{stem}_{name}")]


def _missing_portrait(
    model: ECGGenModel, own: RunConfig, run: RunConfig, folder: Path, source_map: list[list[float]] | None
) -> list[str]:
    """Makes the portrait that a run of an older version has not, or a damaged one anew; what there is to say of it."""
    file = folder / PORTRAIT_FILE
    had = "was damaged" if file.is_file() else "was missing"
    try:
        read_portrait(file)
        return []
    except UserError:
        if run.data != own.data:
            return [f"{PORTRAIT_FILE} {had} and still is: draw the run on its own data to have it made"]
    try:
        keep_portrait(model, judging_split(own)[1], folder, source_map)
    except OutOfReach as fault:
        return [f"{PORTRAIT_FILE} {had} and still is: {fault}"]
    return [f"{PORTRAIT_FILE} {had}: made, with {FIGURE_FILE}, for figures and the report page"]


def draw_recording(run: RunConfig, results: Path, choice: Choice) -> tuple[list[Path], list[str]]:
    """The figure of one raw recording of the settings' source; the cache is not needed.

    Args:
        run: its data block says where the recordings are.
        results: results folder, where the figure goes unless `choice.out` says otherwise.
        choice: which record, and which part of it.

    Returns:
        the files, and a summary in lines.

    Raises UserError where there is no such record, second or folder, and where the record cannot be read.
    """
    from ecggen.figures.files import save
    from ecggen.figures.recording import recording_figure

    if not 0 < choice.seconds <= MOST_SECONDS:
        raise UserError(
            f"--seconds: expected above 0 to {MOST_SECONDS:g}, got {choice.seconds:g}; look at less at once"
        )
    if choice.start is not None and not choice.start >= 0:
        raise UserError(f"--start: expected 0 or more seconds, got {choice.start:g}; begin inside the record")
    source = make_source(run.data, run.model.signal)
    entries = source.entries()
    where = f"{run.data.source} {run.data.root or ''}".strip()
    choice = _of_window(choice, entries)
    at = find_record([entry.id for entry in entries], choice, where)
    seen = examine(source, entries[at], run, choice.start or 0.0, choice.seconds)
    figure = recording_figure(seen, where)
    stem = output_folder(choice.out or results / FIGURES) / file_name(seen.id)
    paths = save(figure, stem.with_name(f"{stem.name}_recording"))
    return paths, [f"source: {where}, {len(entries)} records", *summary(seen, at)]


def _of_window(choice: Choice, entries: Sequence[Entry]) -> Choice:
    """`100@20`, as `rejected.csv` names a window of a long record: record 100 from its second 20."""
    record, _, begin = (choice.record or "").rpartition("@")
    ids = {entry.id for entry in entries}
    if choice.record in ids or record not in ids or not re.fullmatch(r"\d+(\.\d+)?", begin):
        return choice
    start = float(begin) if choice.start is None else choice.start
    return Choice(None, record, start, choice.seconds, choice.visible, choice.out)


def find_record(ids: Sequence[str], choice: Choice, where: str) -> int:
    """Position of the chosen record. Raises UserError where there is none."""
    if not ids:
        raise UserError(f"{where}: expected records, got none; set --data and --data-root")
    if choice.record is None:
        index = choice.index or 0
        if not 0 <= index < len(ids):
            raise UserError(f"--index: expected 0 to {len(ids) - 1}, the records of {where}, got {index}; choose one")
        return index
    if choice.index is not None:
        raise UserError("--index, --record-id: expected one of them, got both; leave one out")
    if choice.record in ids:
        return list(ids).index(choice.record)
    near = difflib.get_close_matches(choice.record, ids, n=3, cutoff=0.5) or list(ids[:3])
    raise UserError(
        f"--record-id: expected one of the {len(ids)} ids of {where}, such as {', '.join(near)}, got {choice.record!r}"
    )


def visible_leads(asked: str | None, present: Sequence[str]) -> tuple[list[str], list[str]]:
    """The leads to show to the model, in standard order, and what there is to say about it.

    Raises UserError for a name that is no standard lead, and where the record has none of those that are asked for.
    """
    words = [word for word in re.split(r"[\s,;]+", asked or "") if word]
    names = {word: canonical_lead(word) for word in words} if asked is not None else {n: n for n in CHOOSING_SET}
    unknown = [word for word, lead in names.items() if lead is None]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise UserError(
            f"--visible: expected leads out of {', '.join(LEADS)}, separated by commas, got {got}; correct it"
        )
    wanted = [lead for lead in LEADS if lead in names.values()]
    missing = [lead for lead in wanted if lead not in present]
    has = f"this record has {', '.join(present)} only"
    if not missing:
        return wanted, []
    if asked is None:
        return list(present), [f"{has}, so all of them are shown and not {', '.join(CHOOSING_SET)}"]
    if len(missing) == len(wanted):
        raise UserError(f"--visible: expected a lead that the record has, got {', '.join(missing)}; {has}")
    return [lead for lead in wanted if lead in present], [f"not shown, for {has}: {', '.join(missing)}"]


def file_name(record: str) -> str:
    """A record's id as the beginning of a file's name: no folders, no signs that a shell or a system minds."""
    return re.sub(r"[^\w.-]+", "_", record, flags=re.ASCII).strip("._-")[:LONGEST_NAME] or "record"


def output_folder(folder: Path) -> Path:
    """The folder, made where it is not there. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(
            f"--out {folder}: expected a folder to write to, got: {fault.strerror}; choose another"
        ) from None
    return folder


def summary(seen: Examination, at: int) -> list[str]:
    """A recording in a few lines: what it is, what is used of it, and what was repaired or left out and why."""
    used = [
        lead if name.strip().upper() == lead.upper() else f"{name} as {lead}"
        for name, lead in _channels(seen)
        if lead is not None
    ]
    idle = [(name, second) for (name, lead), second in zip(_channels(seen), seen.doubles(), strict=True) if not lead]
    others = [name for name, second in idle if second is None]
    lines = [
        f"record: {seen.id}, index {at}, {seen.total:.2f} s at {seen.fs:g} Hz",
        f"leads: {', '.join(used) or 'none'}"
        + (f"; not standard, not used: {', '.join(others)}" if others else "")
        + "".join(f"; {second}, not used: {name}" for name, second in idle if second is not None)
        + (f"; never recorded: {seen.absent.replace(' ', ', ')}" if seen.absent else ""),
        seen.verdict(),
    ]
    pieces = [piece for piece in seen.pieces if piece.reason is None]
    if pieces:
        peaks, seconds = sum(len(piece.peaks) for piece in pieces), sum(piece.end - piece.start for piece in pieces)
        cut = sum(len(piece.beats) for piece in pieces)
        lines.append(
            f"beats: {counted(peaks, 'R peak')} in {seconds:g} s used, {60 * peaks / seconds:.0f} a minute; "
            f"{counted(cut, 'beat')} cut"
        )
    reasons = Counter(str(piece.reason) for piece in seen.pieces if piece.reason is not None and seen.reason is None)
    lines += [f"left out, {counted(count, 'window')}: {reason}" for reason, count in reasons.most_common(5)]
    repairs = Counter(repair for piece in pieces for repair in piece.repairs)
    lines += [f"repaired, {counted(count, 'window')}: {repair}" for repair, count in repairs.most_common(5)]
    return lines


def _channels(seen: Examination) -> list[tuple[str, str | None]]:
    return list(zip(seen.leads, seen.used_as(), strict=True))
