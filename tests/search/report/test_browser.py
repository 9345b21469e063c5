"""The page as a reader sees it, in Chromium: nothing is fetched, all is there, legible, and does what it says."""

import re
import time
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from search.report.page import write_report
from tests.fake_search import fake_portrait, small_search

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
LEAST_CONTRAST = 4.5  # to 1 (WCAG 2.2, 1.4.3)
SETTLED = "document.querySelectorAll('.chart .main-svg').length >= document.querySelectorAll('.chart').length"
PAPER_MM = 10.6 * 25 + 2 * 6  # seconds at 25 mm/s and two margins: the paper is in true size
WIDTHS, SCHEMES = (1280, 400), ("light", "dark")


def until(page, condition, seconds=10.0):
    """Wait for it. Playwright's own way is to evaluate text in the page, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"expected {condition} within {seconds:g} s"
        page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def open_page(browser):
    """Opens a file as often as is asked and notes what it says and asks for; every context is closed in the end."""
    contexts = []

    def opened(path, width=1280, scheme="light", **more):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda fault: page.said.append(f"error: {fault}"))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        until(page, SETTLED)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def large(open_page, large_page):
    """The page of 200 trials, open; tests leave it as it was, or say what they need."""
    return open_page(large_page)


def picture(page):
    """What the canvas shows."""
    return page.evaluate("document.getElementById('loop').toDataURL()")


# Every two of page, scheme and width meet in the first four; all three in the slow ones too.
LOOKS = [("large", "light", 1280), ("large", "dark", 400), ("small", "dark", 1280), ("small", "light", 400)]
OTHERS = [look for look in product(("large", "small"), SCHEMES, WIDTHS) if look not in LOOKS]


@pytest.mark.parametrize(
    ("name", "scheme", "width"), [*LOOKS, *(pytest.param(*look, marks=pytest.mark.slow) for look in OTHERS)]
)
def test_nothing_is_fetched_and_everything_is_legible(open_page, large_page, small_page, name, width, scheme):
    path = {"large": large_page, "small": small_page}[name]
    page = open_page(path, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.evaluate(LOOK)
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(f"look.pale({LEAST_CONTRAST})") == []
    assert page.evaluate(f"look.paleOnCanvas({LEAST_CONTRAST})") == []
    assert page.evaluate("look.cut()") == []
    assert page.evaluate("look.overlapping()") == []


def test_the_look_is_looked_at(open_page, small_page):
    page = open_page(small_page)
    page.evaluate(LOOK)
    page.evaluate(
        """() => {
          const main = document.querySelector("main");
          main.insertAdjacentHTML("afterbegin", `
            <p id="pale" style="color:#999;background:#fff">too pale</p>
            <p id="one" style="position:absolute;margin:0;left:50px;top:300px">on top</p>
            <h4 id="two" style="position:absolute;margin:0;left:55px;top:302px">below</h4>
            <p id="out" style="position:absolute;left:-40px;top:5px">leaves the page</p>`);
          const label = document.querySelector("#chart-rivals .ytick text");
          label.textContent = "a name that is much too long for its place";
          label.style.fill = "#aaa";
        }"""
    )
    assert any("pale" in fault for fault in page.evaluate(f"look.pale({LEAST_CONTRAST})"))
    assert any("on top" in fault and "below" in fault for fault in page.evaluate("look.overlapping()"))
    cut = page.evaluate("look.cut()")
    assert any("leaves the page" in fault for fault in cut)
    assert any("much too long" in fault for fault in cut)
    assert any("much too long" in fault for fault in page.evaluate(f"look.pale({LEAST_CONTRAST})"))


def test_every_figure_is_there(large):
    page = large
    for name in ("path", "rivals", "curves", "parallel", "importance"):
        box = page.locator(f"#chart-{name} .main-svg").first.bounding_box()
        assert box["width"] > 500 and box["height"] > 100
    assert page.locator("#chart-curves .trace").count() == 5  # stopped, failed, reused, completed, the best
    assert page.locator(".paper svg").first.bounding_box()["width"] == pytest.approx(PAPER_MM / 25.4 * 96, abs=1)
    assert page.locator("canvas").count() == 1  # the loop's: no chart needs WebGL


def fresh(page):
    """The page with the loop as it is at first."""
    page.get_by_role("button", name="Oblique").click()
    return page


class TestLoop:
    def test_it_turns_on_drag(self, large):
        page = fresh(large)
        page.locator("#loop").scroll_into_view_if_needed()
        before, box = picture(page), page.locator("#loop").bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 280, box["y"] + 220, steps=4)
        page.mouse.up()
        turned = picture(page)
        assert turned != before
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        assert picture(page) == turned  # let go

    def test_it_turns_by_touch(self, open_page, large_page):
        page = open_page(large_page, 400, has_touch=True, is_mobile=True)
        before = picture(page)
        page.evaluate(
            """() => {
              const loop = document.getElementById("loop"), box = loop.getBoundingClientRect();
              loop.setPointerCapture = () => {};
              loop.hasPointerCapture = () => true;
              const send = (kind, x) => loop.dispatchEvent(new PointerEvent(kind,
                { pointerId: 7, pointerType: "touch", clientX: box.left + x, clientY: box.top + 50 }));
              send("pointerdown", 50);
              send("pointermove", 120);
              send("pointerup", 120);
            }"""
        )
        assert picture(page) != before
        assert page.evaluate("getComputedStyle(document.getElementById('loop')).touchAction") == "none"

    def test_it_turns_by_keys_once_it_has_the_focus(self, large):
        page = fresh(large)
        page.locator("#loop").focus()
        pictures = [picture(page)]
        for key in ("ArrowRight", "ArrowUp"):
            page.keyboard.press(key)
            pictures.append(picture(page))
        assert len(set(pictures)) == 3
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowLeft")
        assert picture(page) == pictures[0]

    def test_buttons_show_the_planes(self, large):
        page, seen = fresh(large), set()
        for name in ("Frontal", "Horizontal", "Sagittal", "Oblique"):
            page.get_by_role("button", name=name).click()
            assert page.locator("[data-view][aria-pressed=true]").all_inner_texts() == [name]
            assert name.lower() in page.locator("#loop-view-said").inner_text().lower()
            seen.add(picture(page))
        assert len(seen) == 4

    def test_it_stands_still_until_it_is_asked_to_turn(self, large):
        page = fresh(large)
        still = picture(page)
        page.wait_for_timeout(150)
        assert picture(page) == still
        turn = page.get_by_role("button", name="Turn")
        turn.click()
        page.wait_for_timeout(150)
        assert picture(page) != still
        turn.click()
        assert turn.get_attribute("aria-pressed") == "false"
        still = picture(page)
        page.wait_for_timeout(150)
        assert picture(page) == still

    def test_the_beat_can_be_chosen(self, large):
        page = fresh(large)
        page.locator("#loop-beat").focus()
        page.keyboard.press("End")
        assert page.locator("#loop-beat-said").inner_text().startswith("9 of 9, at 8.5 s")

    def test_planes_are_as_vectorcardiograms_have_them(self, large):
        """A known heart, drawn alone: where its colour lies says where left, foot and front are."""
        page = fresh(large)
        where = """() => {
          const loop = document.getElementById("loop"), box = loop.getBoundingClientRect();
          const words = [], write = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, x, y) { words.push([text, x, y]); };
          document.querySelector("[data-view=VIEW]").click();
          CanvasRenderingContext2D.prototype.fillText = write;
          return Object.fromEntries(words.map(([text, x, y]) => [text, [x - box.width / 2, y - box.height / 2]]));
        }"""
        frontal = page.evaluate(where.replace("VIEW", "frontal"))
        horizontal = page.evaluate(where.replace("VIEW", "horizontal"))
        sagittal = page.evaluate(where.replace("VIEW", "sagittal"))
        assert set(frontal) & {"left", "foot", "front"} == {"left", "foot"}
        assert set(horizontal) & {"left", "foot", "front"} == {"left", "front"}
        assert set(sagittal) & {"left", "foot", "front"} == {"foot", "front"}
        assert frontal["left"][0] > frontal["foot"][0] and frontal["foot"][1] > frontal["left"][1]
        assert horizontal["left"][0] > horizontal["front"][0] and horizontal["front"][1] > horizontal["left"][1]
        assert sagittal["front"][0] < sagittal["foot"][0] and sagittal["foot"][1] > sagittal["front"][1]


PEN = """() => {
  const drawn = [], words = {}, pen = CanvasRenderingContext2D.prototype, lineTo = pen.lineTo, fillText = pen.fillText;
  const loop = document.getElementById("loop"), box = loop.getBoundingClientRect();
  const probe = document.createElement("canvas").getContext("2d");
  probe.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  pen.lineTo = function (x, y) {
    if (this.strokeStyle === probe.strokeStyle) drawn.push([x, y]);
    lineTo.call(this, x, y);
  };
  pen.fillText = function (text, x, y) { words[text] = [x, y]; fillText.call(this, text, x, y); };
  document.querySelector("[data-view=VIEW]").click();
  Object.assign(pen, { lineTo, fillText });
  return { drawn, words, size: [box.width, box.height] };
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_loop_is_large_and_smooth_and_no_word_lies_on_it(open_page, small_page, width):
    page = open_page(small_page, width)
    for view in ("oblique", "frontal", "horizontal", "sagittal"):
        seen = page.evaluate(PEN.replace("VIEW", view))
        points = np.array(seen["drawn"])
        span, most = np.ptp(points, axis=0) / seen["size"], points.max(0)
        assert span.max() == pytest.approx(0.75, abs=0.07) and points.min() > 0 and (most < seen["size"]).all(), view
        assert np.hypot(*np.diff(points, axis=0).T).max() < 8, view  # px: no corner is seen
        for word in set(seen["words"]) & {"left", "foot", "front"}:
            away = np.abs(points - seen["words"][word])
            assert ((away[:, 0] > 20) | (away[:, 1] > 9)).all(), (view, word)


def test_a_record_of_many_minutes_is_drawn_in_time(open_page, tmp_path):
    portrait = fake_portrait(450)
    page = open_page(write_report(small_search(tmp_path / "results", portrait=portrait)))
    assert page.said == []
    assert page.locator("#loop-beat").get_attribute("max") == "200"
    assert page.locator("#loop-beat-said").inner_text().startswith("1 of 200")
    assert "The loop has the first 200 of 450 beats." in page.locator("#loop-said").inner_text()
    took = page.evaluate(
        """() => {
          const start = performance.now();
          for (const view of ["frontal", "oblique"]) document.querySelector(`[data-view=${view}]`).click();
          return performance.now() - start;
        }"""
    )
    assert took < 1000


def test_a_heading_sorts_its_column_both_ways(large):
    page = large
    page.locator("#trials details summary").click()
    heading = page.locator("table.sortable th", has_text="val_hidden_r")
    column = heading.evaluate("(one) => one.cellIndex")
    cells = f"[...document.querySelectorAll('table.sortable tbody tr')].map((row) => row.cells[{column}].textContent)"
    orders = []
    for expected in ("ascending", "descending"):
        heading.get_by_role("button").press("Enter")
        assert heading.get_attribute("aria-sort") == expected
        orders.append([cell for cell in page.evaluate(cells) if cell != "–"])
    rising = sorted(map(float, orders[0]))
    assert [float(cell) for cell in orders[0]] == rising and [float(cell) for cell in orders[1]] == rising[::-1]
    assert page.evaluate(cells)[-1] == "–"  # no figure stays last
    assert page.locator("table.sortable th[aria-sort]").count() == 1


def test_a_point_says_which_trial_it_is_and_where(large):
    box = large.locator("#chart-curves .trace").last.locator(".points path").last
    box.scroll_into_view_if_needed()
    box.hover(force=True)
    until(large, "document.querySelector('#chart-curves .hovertext') !== null")
    said = large.locator("#chart-curves .hovertext").first.text_content()
    assert re.fullmatch(r"trial \d+ m\ds\dk\d, step 1,350: 0\.\d{4}", said)


def test_charts_follow_the_theme(open_page, large_page):
    page = open_page(large_page, scheme="light")
    colour = "getComputedStyle(document.querySelector('#chart-importance .bars path')).fill"
    light, still = page.evaluate(colour), picture(page)
    page.emulate_media(color_scheme="dark")
    until(page, f"{colour} !== '{light}'")
    assert picture(page) != still
    assert page.evaluate(colour) == "rgb(143, 193, 242)"


def test_everything_that_scrolls_or_acts_can_be_reached_by_keys(open_page, large_page):
    page = open_page(large_page, 400)
    unreachable = """[...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return /auto|scroll/.test(style.overflowX) && one.scrollWidth > one.clientWidth && one.tabIndex < 0;
    }).map((one) => one.className)"""
    assert page.evaluate(unreachable) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    assert page.locator(":focus").bounding_box()["y"] >= 0


def test_headings_and_landmarks_are_in_order(large):
    page = large
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(f"body {landmark}").count() == 1
    unnamed = """[...document.querySelectorAll("canvas, [role], nav, section, .chart")]
      .filter((one) => !one.ariaLabel && !one.hasAttribute("aria-labelledby"))
      .map((one) => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
