"""Small sound folders of recordings in every layout and signal format, and what a hostile hand does to them."""

import csv
import io
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ecggen.leads import LEADS
from tests.data.layouts import hearts, to_matlab, write_arrays, write_mimic, write_ptbxl, write_record, write_wfdb

SECRET = "SECRET-4711"  # what lies outside the folder and must never be said
OUTSIDE = "outside"  # folder beside the root: a recording and a table of somebody else's
LAYOUTS = ("wfdb", "arrays", "wfdb", "ptbxl", "wfdb", "mimic")
FORMATS = ("16", "212", "80", "32", "24", "310", "311", "61", "160", "8", "516")
NUMBERS = (
    "0", "-1", "1", "2", "7", "99", "128", "1000", "65536", "999999999", "2147483648", "9223372036854775807",
    "18446744073709551616", "1e9", "1e-9", "1e308", "1e999", "nan", "inf", "-inf", "0.0001", ".", "-", "", "1" * 30,
    "1" * 5000, "0x10", "1_000", "\u0663", "12.5.6",
)  # fmt: skip
PATHS = (
    f"../{OUTSIDE}/r0", f"../../{OUTSIDE}/r0", "../root/../outside/r0", "/etc/passwd", "../../../../../../etc/passwd",
    "/dev/zero", "/dev/stdin", "/proc/self/environ", "~/r0", "file:///etc/passwd", "http://127.0.0.1:9/r0",
    "s3://bucket/r0", "a::b", "x\0y", "", ".", "..", "/", "con", "a" * 5000, "a/" * 300, "\ud7ff\u202e", "r0\n",
    "%2e%2e/x",
)  # fmt: skip
WORDS = (
    "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\u00e9\u4e2d\U0001f493", "a;b;;c", '"', "'", "{'NORM': 100.0",
    "[/bold]", "{1: 2}", "{'a': 1, 2: 3}", "[" * 3000, "-" * 4000 + "1", "__import__('os').system('true')", "\x1b[2J",
    "I", "V1 V1 V1", "mV", "uV", "\u00b5V", "MV", "kV", "None", "true", "\t", " ", "x" * 200_000,
    "I;II;III;aVR;aVL;aVF",
)  # fmt: skip
VALUES = (0.0, np.nan, np.inf, -np.inf, 1e9, -1e9, 1e38, 1e-30, 3.0, 32767.0)


@cache
def sound(layout):
    """Variants of a folder that reads, each {path: bytes}."""
    ecg = hearts(2, 4.5, 100.0)
    variants = []
    with TemporaryDirectory() as scratch:
        for number, make in enumerate(MAKERS[layout]):
            root = Path(scratch, str(number))
            make(root, ecg)
            files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            variants.append(files)
    return variants


def _formats(fmt):
    """A record in a signal format; where `wfdb` cannot write it, samples of another one are taken for it."""

    def make(root, ecg):
        ours = fmt if fmt in ("80", "24", "32", "516") else "16"
        signal = np.clip(ecg[0][: 8 if fmt == "516" else 12], -1.2, 1.2)
        gain = 100.0 if fmt == "80" else 500.0
        write_record(root / "r0", signal, LEADS[: len(signal)], 100.0, fmt=ours, gain=gain, comments=["Dx: 426783006"])
        header = root / "r0.hea"
        header.write_text(header.read_text().replace("r0.dat 16 ", f"r0.dat {fmt} "))

    return make


def _matlab(root, ecg):
    write_wfdb(root, ecg, 100.0)
    to_matlab(root / "g0" / "r0")


def _segments(root, ecg):
    for name, signal in (("seg1", ecg[0]), ("seg2", ecg[1])):
        write_record(root / name, signal, LEADS, 100.0)
    root.joinpath("whole.hea").write_text("whole/3 12 100 1000\nseg1 450\n~ 100\nseg2 450\n")
    layout = "layout 12 100 0\n" + "".join(f"~ 0 200/mV 0 0 0 0 0 {name}\n" for name in LEADS)
    root.joinpath("layout.hea").write_text(layout)
    root.joinpath("varied.hea").write_text("varied/4 12 100 1000\nlayout 0\nseg1 450\n~ 100\nseg2 450\n")


def _labelled(root, ecg):
    write_wfdb(root, ecg, 100.0)
    root.joinpath("labels.csv").write_text("id,patient,fold,label\ng0/r0,p,1,MI;NORM\ng0/r1,q,2,NORM\n")


MAKERS = {
    "wfdb": [*map(_formats, FORMATS), _matlab, _segments, _labelled],
    "arrays": [lambda root, ecg: write_arrays(root, ecg, 100.0)],
    "ptbxl": [lambda root, ecg: write_ptbxl(root, ecg, 100.0)],
    "mimic": [lambda root, ecg: write_mimic(root, ecg, 100.0)],
}


def spoilt(layout, root, rng):
    """Writes a folder with one to four things wrong, and somebody else's folder beside it; what is wrong, in words."""
    variants = sound(layout)
    files = dict(variants[rng.integers(len(variants))])
    what = []
    for _ in range(rng.integers(1, 5)):
        hand = HANDS[rng.integers(len(HANDS))]
        done = hand(files, rng)
        if done:
            what.append(f"{hand.__name__} {done}")
    root.mkdir()
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if rng.random() < 0.15:
        what.append(_exchanged(root, sorted(files), rng))
    _somebody_elses(root.parent / OUTSIDE)
    return what


def _somebody_elses(folder):
    folder.mkdir()
    for name, content in sound("wfdb")[0].items():
        folder.joinpath(name).write_bytes(content)
    folder.joinpath("table.csv").write_text(f"{SECRET},b\n1,2\n")


def _exchanged(root, names, rng):
    """A file for a link, a pipe, a folder or a device."""
    path = root / names[rng.integers(len(names))]
    kind = ("out", "outside table", "zero", "pipe", "folder", "loop", "broken", "gone", "in", "latin")[rng.integers(10)]
    if kind == "latin":
        path.rename(path.with_name(os.fsdecode(b"r\xe9") + path.suffix))
        return f"{kind}: {path.name}"
    if kind == "in":
        path.rename(path.with_name("moved"))
    else:
        path.unlink()
    targets = {"out": f"../{OUTSIDE}/r0{path.suffix}", "outside table": f"../{OUTSIDE}/table.csv", "zero": "/dev/zero"}
    targets |= {"loop": path.name, "broken": "nowhere", "in": "moved"}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in targets:
        target = targets[kind]
        depth = len(path.relative_to(root).parts) - 1
        path.symlink_to("../" * depth + target if target.startswith("..") else target)
    return f"{kind}: {path.name}"


def _pick(files, rng, *suffixes):
    names = [name for name in sorted(files) if not suffixes or name.endswith(suffixes)]
    return names[rng.integers(len(names))] if names else None


def _one(choices, rng):
    return choices[int(rng.integers(len(choices)))]


def bytes_changed(files, rng):
    name = _pick(files, rng)
    data = bytearray(files[name])
    for _ in range(int(rng.integers(1, 20))):
        if data:
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
    files[name] = bytes(data)
    return name


def bytes_at_random(files, rng):
    name = _pick(files, rng)
    files[name] = rng.bytes(int(rng.integers(0, 3000)))
    return name


def cut_short(files, rng):
    name = _pick(files, rng)
    files[name] = files[name][: int(rng.integers(0, len(files[name]) + 1))]
    return name


def grown(files, rng):
    name = _pick(files, rng)
    at = int(rng.integers(0, len(files[name]) + 1))
    files[name] = files[name][:at] + rng.bytes(int(rng.integers(1, 200))) + files[name][at:]
    return name


def number_in_header(files, rng):
    """A number of a header for another one."""
    name = _pick(files, rng, ".hea")
    if name is None:
        return None
    lines = files[name].decode("latin-1").splitlines()
    at = 0 if rng.random() < 0.5 else int(rng.integers(max(1, len(lines))))
    parts = lines[at].split(" ") if lines else [""]
    place = int(rng.integers(len(parts)))
    new = _one(NUMBERS, rng)
    old = parts[place]
    if "/" in old or "x" in old or "(" in old:  # a part of a word: gain(baseline)/unit, name/segments
        new = _one(
            (f"r0/{new}", f"16x{new}", f"16:{new}", f"16+{new}", f"{new}(0)/mV", f"200({new})/mV", f"{new}/mV"), rng
        )
    parts[place] = new
    lines[at : at + 1] = [" ".join(parts)]
    files[name] = "\n".join(lines).encode("utf-8", "surrogatepass")
    return f"{name} line {at} word {place} = {new[:30]}"


def line_in_header(files, rng):
    """A line doubled, dropped, made long, or two hundred more."""
    name = _pick(files, rng, ".hea", ".csv")
    if name is None:
        return None
    lines = files[name].splitlines() or [b""]
    at, kind = int(rng.integers(len(lines))), int(rng.integers(5))
    if kind == 0:
        lines.insert(at, lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at] = lines[at] + b"a" * 100_000
    elif kind == 3:
        lines[at:at] = [lines[at]] * 200
    else:
        order = rng.permutation(len(lines))
        lines = [lines[i] for i in order]
    files[name] = b"\n".join(lines)
    return f"{name} line {at} kind {kind}"


def path_in_header(files, rng):
    name = _pick(files, rng, ".hea")
    if name is None:
        return None
    lines = files[name].decode("latin-1").splitlines() or [""]
    at = int(rng.integers(len(lines)))
    words = lines[at].split(" ")
    words[0] = _one(PATHS, rng)
    lines[at] = " ".join(words)
    files[name] = "\n".join(lines).encode("utf-8", "surrogatepass")
    return f"{name} line {at} = {words[0][:30]!r}"


def segments_of_segments(files, rng):
    """Records joined from themselves, or from each other, ten at a time."""
    if not any(name.endswith(".hea") for name in files):
        return None
    own = rng.random() < 0.5
    for level in range(12):
        name = "loop" if own else f"n{level}"
        below = "loop" if own else (f"n{level + 1}" if level < 11 else "r0")
        length = 450 * 10 ** (12 - level)
        files[f"{name}.hea"] = (f"{name}/10 12 100 {length}\n" + f"{below} {length // 10}\n" * 10).encode()
    return "own" if own else "tenfold"


def promises(files, rng):
    """A header that promises more than any recording has."""
    name = _pick(files, rng, ".hea")
    if name is None:
        return None
    stem = Path(name).stem
    text = _one(
        (
            f"{stem} 1000000000 100 450\n{stem}.dat 16 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 99999999999\n{stem}.dat 16 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 1000000000 450\n{stem}.dat 16 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 450\n{stem}.dat 16x100000000 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 450\n{stem}.dat 16:1000000000 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 450\n{stem}.dat 16+99999999999 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 450\n{stem}.dat 516x100000 200/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100 4000000000\n{stem}.dat 516 200/mV 12 0 0 0 0 I\n",
            f"{stem}/1000000000 12 100 450\nr0 450\n",
            f"{stem}/2 12 100 9000000000\n~ 9000000000\n~ 1\n",
            f"{stem}/1 12 1 9000000\n~ 9000000\n",
            f"{stem}/1 100000 100 450\n~ 450\n",
            f"{stem} 30 100 450\n" + f"{stem}.dat 16 200/mV 12 0 0 0 0 I\n" * 30,
            f"{stem} 1 0 450\n{stem}.dat 16 0/mV 12 0 0 0 0 I\n",
            f"{stem} 1 100\n{stem}.dat 16 1e-300(5)/mV 12 0 0 0 0 II\n",
            f"{stem} 1 100 450\n{stem}.dat 16 200(99999999999999999999)/mV 12 0 0 0 0 II\n",
            "a" * 100_000 + "!\n",
        ),
        rng,
    )
    files[name] = text.encode()
    return f"{name}: {text[:60]!r}"


def cell_of_table(files, rng):
    """A cell of an index for a path, a number or a word that it should not be."""
    name = _pick(files, rng, ".csv")
    if name is None:
        return None
    try:
        rows = list(csv.reader(io.StringIO(files[name].decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        return None
    if not rows:
        return None
    row = _one(rows, rng)
    if not row:
        return None
    new = _one((PATHS, NUMBERS, WORDS)[int(rng.integers(3))], rng)
    at = int(rng.integers(len(row)))
    row[at] = new
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    files[name] = text.getvalue().encode("utf-8", "surrogatepass")
    return f"{name} cell {at} = {new[:30]!r}"


def another_array(files, rng):
    """`signals.npy` of another form, or with a header that lies about it."""
    if "signals.npy" not in files:
        return None
    leads, samples = int(rng.integers(1, 31)), int(_one((1, 2, 3, 399, 400, 401, 450, 3000), rng))
    signal = rng.normal(0, 0.3, (2, leads, samples))
    kind = int(rng.integers(6))
    if kind == 0:
        signal[:, :, rng.integers(samples)] = _one(VALUES, rng)
    elif kind == 1:
        signal[:] = _one(VALUES, rng)
    dtype = _one(("<f4", ">f4", "<f8", "<f2", "<i2", ">i4", "<u8", "|i1", "<c8", "|b1"), rng)
    with np.errstate(all="ignore"):
        signal = np.nan_to_num(signal * 100).astype(dtype) if dtype[1] in "iub" else signal.astype(dtype)
    buffer = io.BytesIO()
    np.save(buffer, np.asfortranarray(signal) if kind == 2 else signal)
    data = buffer.getvalue()
    if kind >= 4:
        lie = _one(
            (
                "(99999999999, 12, 450)", "(4294967296, 4294967296, 1)", "(2, 0, 450)", "(2, 12, 0)", "(-2, -12, 450)",
                "(2, 12)", "(0, 12, 450)", "(2, 9223372036854775807, 2)", "()", "(2.0, 1, 1)", "[2, 12, 450]", "None",
            ),
            rng,
        )  # fmt: skip
        descr = _one(("'<f4'", "'|O'", "[('a', '<f4')]", "'<M8[s]'", "'<U99999999'", "__import__('os')", "'|V0'"), rng)
        head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {lie}, }}".ljust(117) + "\n"
        data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + data[128:]
    files["signals.npy"] = data
    if rng.random() < 0.7 and "records.csv" in files:
        names = [_one((*LEADS, "X", "MLII", "lead i"), rng) for _ in range(leads)]
        rate = _one(("100", "100", "500", "79.9", "80", "20000", "20001", "1e9", "0.5", "1e-9", "333.333"), rng)
        rows = "".join(f"a{number},{rate},{_one(('mV', 'uV', 'V'), rng)},{' '.join(names)}\n" for number in range(2))
        files["records.csv"] = ("id,fs,unit,leads\n" + rows).encode()
    return f"{leads} leads {samples} samples {dtype} kind {kind}"


def doubled(files, rng):
    """Every line of an index twice: names that repeat."""
    name = _pick(files, rng, ".csv")
    if name is None:
        return None
    files[name] = files[name] + b"\n".join(files[name].splitlines()[1:]) + b"\n"
    return name


HANDS = (
    bytes_changed, bytes_at_random, cut_short, grown, number_in_header, number_in_header, line_in_header,
    path_in_header, segments_of_segments, promises, cell_of_table, cell_of_table, another_array, another_array, doubled,
)  # fmt: skip
