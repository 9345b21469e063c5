"""Figures on disk and in pages: PNG, SVG, and SVG as a part of an HTML document."""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ecggen.atomic import whole_file
from ecggen.figures.style import DPI, house_style

KINDS = ("png", "svg")
# Text stays text: smaller, found by search, read by screen readers. Equal figures give equal files.
_SVG: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "ecggen"}
_LENGTHS = re.compile(r'(?<= d=")[^"]+|(?<= [xy]=")[^"]+', re.S)
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
# What a record is called stands between tags as it is; in attributes matplotlib escapes `>` and quotes.
_TAG = re.compile(r"<[^>]*>")
_PARTS_OF_A_FILE = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", re.S
)


def save(figure: Figure, stem: Path, kinds: tuple[str, ...] = KINDS) -> list[Path]:
    """Writes `stem`.png and `stem`.svg beside each other, each whole or not at all; the paths."""
    paths = []
    for kind in kinds:
        path = stem.with_name(f"{stem.name}.{kind}")
        with whole_file(path) as temporary:
            temporary.write_bytes(_png(figure) if kind == "png" else _svg(figure).encode())
        paths.append(path)
    return paths


def svg_text(figure: Figure) -> str:
    """The figure as one `<svg>` element for an HTML page: nothing outside it is referred to, ids are its own.

    Two figures on one page do not share ids, and equal figures give equal text.
    """
    text = _own_ids(_PARTS_OF_A_FILE.sub("", _svg(figure)))
    named = escape(str(figure.get_label()), quote=True)
    # What the file's style sheet said of all elements; in a page it would speak of the page's.
    root = f'<svg role="img" aria-label="{named}" stroke-linejoin="round" stroke-linecap="butt"'
    return re.sub(r"\n\s*\n+", "\n", text.replace("<svg", root, 1)).strip()


def _own_ids(text: str) -> str:
    """Ids that are referred to, and what refers to them, begin with a digest of the text; other ids are left out."""
    own = "f" + hashlib.sha256(text.encode()).hexdigest()[:10]
    referred = {name for tag in _TAG.findall(text) for name in re.findall(r'(?:url\(#|href="#)([^")]+)', tag)}

    def rewritten(tag: re.Match[str]) -> str:
        known = re.sub(r' id="([^"]+)"', lambda found: f' id="{own}{found[1]}"' if found[1] in referred else "", tag[0])
        plain = re.sub(r' xmlns:xlink="[^"]*"', "", known).replace("xlink:href", "href")
        return re.sub(r'(url\(#|href="#)', rf"\g<1>{own}", plain)

    return _TAG.sub(rewritten, text)


def _png(figure: Figure) -> bytes:
    with _drawing():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _svg(figure: Figure) -> str:
    """As matplotlib writes it, but lengths to 0.01 pt, 3.5 um: a third less to store, and nothing an eye would miss."""
    with _drawing():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _TAG.sub(lambda tag: _LENGTHS.sub(_all_rounded, tag[0]), buffer.getvalue())


def _all_rounded(lengths: re.Match[str]) -> str:
    return _LONG_NUMBER.sub(_rounded, lengths[0])


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


@contextmanager
def _drawing() -> Iterator[None]:
    with house_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # an id in a script that the font does not have
        matplotlib.rcParams.update(_SVG)
        yield
