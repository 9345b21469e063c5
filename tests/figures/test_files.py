"""Figures on disk and in pages."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import matplotlib
import pytest

from ecggen.errors import OutOfReach
from ecggen.figures import files
from ecggen.figures.basis import basis_figure
from ecggen.figures.ecg import ecg_figure
from ecggen.figures.files import save, svg_text
from ecggen.figures.states import states_figure
from ecggen.figures.vcg import vcg_figure
from tests.portraits import portrait_of

BUILDERS = (ecg_figure, vcg_figure, basis_figure, states_figure)


def test_both_files_appear_beside_each_other_and_nothing_else(tmp_path):
    paths = save(ecg_figure(portrait_of()), tmp_path / "r1.5_ecg")
    assert [path.name for path in paths] == ["r1.5_ecg.png", "r1.5_ecg.svg"] and set(paths) == set(tmp_path.iterdir())
    assert paths[0].read_bytes().startswith(b"\x89PNG") and ET.fromstring(paths[1].read_text()).tag.endswith("svg")


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    (path,) = save(ecg_figure(portrait_of()), tmp_path / "r1", kinds=("svg",))
    before = path.read_bytes()

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr(files, "_svg", fail)
    with pytest.raises(OutOfReach, match="disk full"):
        save(ecg_figure(portrait_of()), tmp_path / "r1", kinds=("svg",))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_png_is_as_large_as_its_paper(tmp_path):
    figure = ecg_figure(portrait_of())
    (path,) = save(figure, tmp_path / "r1", kinds=("png",))
    pixels = [int.from_bytes(path.read_bytes()[at : at + 4], "big") for at in (16, 20)]
    assert pixels == pytest.approx(figure.get_size_inches() * files.DPI, abs=1)


@pytest.mark.parametrize("builder", BUILDERS)
def test_equal_figures_are_equal_text_and_no_date_is_in_it(tmp_path, builder):
    first, second = (svg_text(builder(portrait_of())) for _ in range(2))
    assert first == second
    saved = [save(builder(portrait_of()), tmp_path / name, kinds=("svg",))[0].read_text() for name in "ab"]
    assert saved[0] == saved[1] and "dc:date" not in saved[0]


def test_figures_of_one_page_share_no_ids_and_refer_to_their_own():
    page = [svg_text(builder(portrait_of(id=name))) for builder in BUILDERS for name in ("r1", "r2")]
    ids = [re.findall(r' id="([^"]+)"', text) for text in page]
    # Two equal figures (the basis names no record) are one figure twice; their ids mean the same.
    for number, own in enumerate(ids):
        assert len(own) == len(set(own))
        for other in range(number):
            assert page[other] == page[number] or not set(own) & set(ids[other])
    for text, own in zip(page, ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) == set(own)


class Reader(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src", "xlink:href")]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_part_of_a_page_is_one_element_that_refers_to_nothing_outside_and_has_a_name(builder):
    text = svg_text(builder(portrait_of()))
    reader = Reader()
    reader.feed(text)
    assert reader.tags[0] == "svg" and reader.tags.count("svg") == 1
    assert not {"style", "script", "image", "metadata"} & set(reader.tags)
    assert all(address.startswith("#") for address in reader.addresses)
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert ET.fromstring(text).attrib["aria-label"]


def test_a_record_s_name_is_text_and_never_markup_or_a_formula():
    name = '<b onclick="x">$\\frac{1}$ & "心" --> ]]>'
    text = svg_text(ecg_figure(portrait_of(id=name)))
    root = ET.fromstring(text)
    assert f"Record {name}" in [element.text for element in root.iter() if element.tag.endswith("text")]
    assert name in root.attrib["aria-label"]


def test_a_name_that_is_too_long_for_the_paper_is_cut_and_nothing_is_pushed_out(tmp_path):
    for builder in BUILDERS:
        figure = builder(portrait_of(id="files/p1000/" * 30))
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in (*figure.texts, *(t for axes in figure.axes for t in axes.texts))]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_text_stays_text_and_curves_are_not_longer_than_an_eye_needs():
    text = svg_text(ecg_figure(portrait_of()))
    assert "25 mm/s, 10 mm/mV" in text
    assert not re.search(r' d="[^"]*\d\.\d{3}', text) and len(text) < 400_000


@pytest.mark.parametrize("builder", BUILDERS)
def test_what_a_user_has_set_for_matplotlib_neither_shows_nor_changes(builder):
    plain = svg_text(builder(portrait_of()))
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "black", "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        assert svg_text(builder(portrait_of())) == plain
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    "name",
    ["url(#a) r1", 'href="#a" r1', 'r1 id="a" xlink:href="b"', 'r1 xmlns:xlink="x"', 'r d="1.23456" x="7.65432" y'],
)
def test_a_record_s_name_that_looks_like_a_part_of_the_file_is_left_as_it_is(tmp_path, name):
    figure = ecg_figure(portrait_of(id=name))
    saved = save(figure, tmp_path / "r1", kinds=("svg",))[0].read_text()
    for text in (svg_text(figure), saved):
        words = [element.text for element in ET.fromstring(text).iter() if element.tag.endswith("text")]
        assert f"Record {name}" in words


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("letter", ["W", "i"])
def test_a_long_id_of_wide_letters_is_shortened_in_its_middle_and_stays_on_the_paper(builder, letter):
    figure = builder(portrait_of(id="a1" + letter * 58 * (1 if letter == "W" else 8) + "z9"))
    figure.canvas.draw()
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in figure.texts)
    title = figure.texts[0].get_text()
    if builder is not basis_figure:
        assert title.startswith("Record a1") and "…" in title and "z9" in title
        # No more than is needed: what is left fills the paper.
        assert figure.texts[0].get_window_extent().x1 > 0.9 * figure.bbox.x1
