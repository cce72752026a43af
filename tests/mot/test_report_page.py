"""The report in a real browser: what it shows, and how it is worked by hand and by keyboard."""

import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.counting import parse_line, parse_zone
from mot.report.html import write_report
from mot.report.scene import without_pictures
from mot.report.scored import budgets, recorder_for, scored_series
from mot.scoring import score_sequence
from mot.sequence import open_sequence
from tests.conftest import FRAMES, draw_frame, seqinfo, truth_rows, write_images

# A browser answers when it can: on a busy machine a pointer's echo comes late.
pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAMES = ("near", "far")


def tracks_of(frames=FRAMES):
    """Person 1 by two tracks with a gap between, person 2 from frame 4 on, and one false box."""
    rows = [(n, 5 if n < 6 else 6, 2.0 * n, 10.0) for n in range(1, frames + 1) if n != 7]
    rows += [(n, 8, 50.0 - 2 * n, 12.0) for n in range(4, frames + 1)]
    rows += [(9, 9, 40.0, 2.0)]
    frame, identity, x, y = np.array(rows).T
    ltwh = np.stack([x, y, np.full_like(x, 10), np.full_like(x, 30)], axis=1)
    return Boxes.of(frame, ltwh, identity, score=np.where(frame == 8, 0.0, 0.9))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of two sequences, the second without pictures."""
    out = tmp_path_factory.mktemp("page")
    sequences = []
    for name in NAMES:
        folder = out / name
        (folder / "gt").mkdir(parents=True)
        (folder / "seqinfo.ini").write_text(seqinfo(name))
        (folder / "gt" / "gt.txt").write_text(truth_rows())
        write_images(folder / "img1")
        sequences.append(open_sequence(folder))
    series, scores = {}, []
    for sequence in sequences:
        budget = budgets(sequences)[sequence.name]
        with recorder_for(sequence, out, budget) as recorder:
            for number in range(1, FRAMES + 1):
                density = np.zeros((6, 8), np.float32)
                density[number % 6, 1:3] = 0.4
                recorder.add(number, draw_frame(number), density)
            preview = recorder.finish(shown=False)
        counts = np.full(FRAMES, 0.8)
        drawn = scored_series(
            sequence,
            tracks_of(),
            density_count=counts,
            preview=preview,
            out=out,
            budget=budget,
            sequences=2,
            video=None,
        )
        marks = {"zones": [parse_zone("yard=2,2,20,2,20,20", 1)]}
        marks |= {"lines": [parse_line("gate=30,2,30,46", 1)]}
        scene = replace(drawn.scene, **marks)
        if sequence.name == "far":
            none, missing = without_pictures(FRAMES, "they are gone.")
            scene = replace(scene, preview=none, missing=missing)
        series[sequence.name] = replace(drawn, scene=scene)
        scores.append(
            score_sequence(sequence.truth(), tracks_of(), length=FRAMES, name=sequence.name)
        )
    path = out / "report.html"
    write_report(path, title="A run", scores=scores, series=series, config={"seq": NAMES})
    return path


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium or google-chrome on the path")
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def window(browser):
    """One page for all tests: opening a new one takes longer than most of them."""
    page = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
    page.set_default_timeout(20_000)
    page.said = []
    page.on("console", lambda m: page.said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda r: None if is_inside(r.url) else page.said.append(r.url))
    return page


def is_inside(url):
    return url.startswith(("file:", "blob:", "data:"))


@pytest.fixture
def opened(window, report):
    """Factory: the page, which must end without errors and must not have asked for anything."""
    window.said.clear()

    def open_page(path=report):
        window.goto(path.as_uri())
        wait_status(window, "frame ")
        return window

    yield open_page
    assert window.said == []


def wait(page, expression, argument=None):
    """Wait until a JavaScript expression holds; the page's policy forbids the browser to do it."""
    give_up = time.monotonic() + 20
    while not page.evaluate(expression, argument):
        assert time.monotonic() < give_up, expression
        page.wait_for_timeout(10)


def wait_status(page, text, section="#sequence-1"):
    wait(
        page,
        "([s, t]) => document.querySelector(s + ' .status').textContent.includes(t)",
        [section, text],
    )


def wait_film(page):
    wait(page, "document.querySelector('video').readyState >= 2")


def drawn_pixels(page):
    """How many pixels of the overlay are covered, and a sum that tells pictures apart."""
    return page.evaluate(
        """() => { const c = document.querySelector('canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0, sum = 0;
        for (let i = 0; i < d.length; i += 4) {
          if (d[i + 3]) n++;
          sum = (sum * 31 + d[i] + 7 * d[i + 1] + 13 * d[i + 2] + 17 * d[i + 3]) % 1000003;
        }
        return [n, sum]; }"""
    )


def grey(page):
    """Grey at the lower right corner of the film's picture on the screen."""
    return page.evaluate(
        """() => { const v = document.querySelector('video');
        const c = new OffscreenCanvas(v.videoWidth, v.videoHeight).getContext('2d');
        c.drawImage(v, 0, 0);
        return c.getImageData(v.videoWidth - 2, v.videoHeight - 2, 1, 1).data[0]; }"""
    )


def scrub(page, index):
    page.locator("#sequence-1 .scrub").evaluate(
        "(e, at) => { e.value = at; e.dispatchEvent(new Event('input')) }", index
    )


def test_each_place_of_the_scrubber_shows_its_frame(opened):
    page = opened()
    wait_film(page)
    assert "All 12 frames" in page.locator("#sequence-1 .pictures").text_content()
    for index in (11, 0, 5, 6, 4):
        scrub(page, index)
        wait_status(page, f"frame {index + 1} ·")
        # The frames' grey tells their number.
        wait(
            page,
            f"!document.querySelector('video').seeking && "
            f"Math.floor(document.querySelector('video').currentTime * 25) === {index}",
        )
        assert grey(page) == pytest.approx(20 * (index + 1), abs=6)


def test_every_layer_can_be_switched(opened):
    page = opened()
    scrub(page, 9)
    wait_status(page, "frame 10")
    layers = ["boxes", "trails", "density", "truth", "marks"]
    for name in layers:
        page.locator(f"#sequence-1 input[name={name}]").uncheck()
    assert drawn_pixels(page)[0] == 0
    seen = set()
    for name in layers:
        page.locator(f"#sequence-1 input[name={name}]").check()
        covered, signature = drawn_pixels(page)
        assert covered > 20, name
        seen.add(signature)
        page.locator(f"#sequence-1 input[name={name}]").uncheck()
        assert drawn_pixels(page)[0] == 0
    assert len(seen) == len(layers)


def test_a_bar_selects_its_person(opened):
    page = opened()
    wait_film(page)
    bar = page.locator("#sequence-1 [data-id='8']")
    before = drawn_pixels(page)
    bar.click()
    wait_status(page, "frame 4 ·")
    facts = page.locator("#sequence-1 .selected")
    assert "id 8: frames 4 to 12 (0.1 to 0.4 s), seen in 9, 0 gaps." in facts.text_content()
    assert bar.get_attribute("aria-selected") == "true"
    assert drawn_pixels(page) != before
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert "id 8" not in facts.text_content() and bar.get_attribute("aria-selected") == "false"


def test_a_box_tells_its_id_and_can_be_clicked(opened):
    page = opened()
    scrub(page, 9)
    wait_status(page, "frame 10")
    stage = page.locator("#sequence-1 .stage")
    area = stage.bounding_box()
    place = {"x": 22 / 64 * area["width"], "y": 20 / 48 * area["height"]}  # in the box of track 6
    stage.hover(position=place)
    assert page.locator("#sequence-1 .tip").text_content() == "id 6"
    stage.click(position=place)
    assert "id 6: frames 6 to 12" in page.locator("#sequence-1 .selected").text_content()
    assert "seen in 6, 1 gap." in page.locator("#sequence-1 .selected").text_content()
    stage.click(position={"x": 5, "y": area["height"] - 5})
    assert "id 6" not in page.locator("#sequence-1 .selected").text_content()


def test_chart_and_scrubber_move_together(opened):
    page = opened()
    cursor = page.locator("#sequence-1 .counts .cursor")
    scrub(page, 11)
    wait_status(page, "frame 12")
    assert cursor.evaluate("e => e.style.left") == "100%"
    assert (
        "frame 12 · 0.4 s · truth 2 · tracks 2"
        in page.locator("#sequence-1 .readout").text_content()
    )
    plot = page.locator("#sequence-1 .counts .plot")
    area = plot.bounding_box()
    plot.click(position={"x": area["width"] * 4 / 11, "y": 30})
    wait_status(page, "frame 5 ·")
    assert page.locator("#sequence-1 .scrub").input_value() == "4"
    chart = page.locator("#sequence-1 .counts")
    chart.focus()
    for key, frame in [("End", 12), ("ArrowLeft", 11), ("Home", 1), ("ArrowRight", 2)]:
        page.keyboard.press(key)
        wait_status(page, f"frame {frame} ·")
        page.mouse.move(0, 0)
        assert f"frame {frame} ·" in page.locator("#sequence-1 .readout").text_content()


def test_all_of_it_works_by_keyboard(opened):
    page = opened()
    stage = page.locator("#sequence-1 .stage")
    stage.focus()
    for keys, frame in [
        (["End"], 12),
        (["ArrowLeft", "ArrowLeft"], 10),
        (["Home"], 1),
        (["Shift+ArrowRight"], 11),
        (["Shift+ArrowLeft", "ArrowRight"], 2),
    ]:
        for key in keys:
            page.keyboard.press(key)
        wait_status(page, f"frame {frame} ·")
    for key, name in [("b", "boxes"), ("t", "trails"), ("d", "density"), ("g", "truth")]:
        box = page.locator(f"#sequence-1 input[name={name}]")
        before = box.is_checked()
        page.keyboard.press(key)
        assert box.is_checked() != before
    page.keyboard.press("End")
    wait_status(page, "frame 12")
    selected = page.locator("#sequence-1 .selected")
    for key, found in [("n", "id 6:"), ("n", "id 8:"), ("n", "id 6:"), ("p", "id 8:")]:
        page.keyboard.press(key)
        assert found in selected.text_content()
    page.keyboard.press("Escape")
    assert "id" not in selected.locator("span").text_content()
    bars = page.locator("#sequence-1 .timeline svg")
    bars.focus()
    page.keyboard.press("ArrowDown")
    active = bars.get_attribute("aria-activedescendant")
    page.keyboard.press("Enter")
    assert f"id {active.rsplit('-', 1)[1]}:" in selected.text_content()


def test_every_control_is_reached_and_shows_its_focus(opened):
    page = opened()
    wanted = page.evaluate(
        """[...document.querySelectorAll('#sequence-1 :is(button, input, select, summary, .stage,"""
        """ .counts, .timeline svg)')].filter(e => e.checkVisibility()).length"""
    )
    page.locator("#sequence-1 .stage").focus()
    names, outlined = [], 0
    for _ in range(wanted):
        name, line = page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
            return [(e.closest('#sequence-1') ? '' : 'outside ') + (e.ariaLabel
              || e.labels?.[0]?.textContent || e.textContent).trim(), s.outlineStyle]; }"""
        )
        names.append(name)
        outlined += line != "none"
        page.keyboard.press("Tab")
    assert all(names) and not [name for name in names if name.startswith("outside")]
    assert outlined == wanted


def test_playing_moves_on_and_stops_at_the_end(opened):
    page = opened()
    wait_film(page)
    page.locator("#sequence-1 .speed select").select_option("0.25")
    play = page.locator("#sequence-1 .play")
    play.click()
    assert play.text_content() == "Pause"
    page.locator("#sequence-1 .speed select").select_option("4")
    wait_status(page, "frame 12 ·")
    wait(page, "document.querySelector('.play').textContent === 'Play'")
    page.locator("#sequence-1 .stage").press("Space")
    wait(page, "!document.querySelector('.status').textContent.includes('frame 12 ')")


def test_without_pictures_there_are_boxes(opened):
    page = opened()
    page.locator("#sequence-2").scroll_into_view_if_needed()
    wait_status(page, "frame 1 ·", "#sequence-2")
    assert "no pictures: they are gone" in page.locator("#sequence-2 .pictures").text_content()
    page.locator("#sequence-2 .speed select").select_option("4")
    page.locator("#sequence-2 .play").click()
    wait_status(page, "frame 12 ·", "#sequence-2")


def test_a_film_that_does_not_play_leaves_the_boxes(opened, report, tmp_path):
    text = report.read_text()
    start = text.index('class="film">') + len('class="film">')
    (tmp_path / "broken.html").write_text(f"{text[:start]}AAAA{text[text.index('<', start) :]}")
    page = opened(tmp_path / "broken.html")
    wait(page, "!document.querySelector('.wait').hidden")
    assert "H.264" in page.locator("#sequence-1 .wait").text_content()
    scrub(page, 9)
    wait_status(page, "frame 10")
    assert drawn_pixels(page)[0] > 100


def test_an_error_leads_to_its_frame(opened):
    page = opened()
    wings = page.locator("#sequence-1 .wing summary").all_text_contents()
    assert wings == [
        "False boxes: 1 in 1 stretch",
        "Missed people: 4 in 2 stretches",
        "Identity switches: 1",
    ]
    page.locator("#sequence-1 .missed .exhibit").first.click()
    wait_status(page, "frame 2 ·")
    selected = page.locator("#sequence-1 .selected span")
    assert selected.text_content() == "Person 2 of the truth."
    assert page.locator("#sequence-1 input[name=truth]").is_checked()
    assert page.evaluate("document.activeElement.className") == "stage"
    page.locator("#sequence-1 .switched .exhibit").click()
    wait_status(page, "frame 6 ·")
    assert "id 6:" in selected.text_content()
    loaded = "[...document.querySelectorAll('#sequence-1 .crop img')].every(i => i.complete)"
    wait(page, loaded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_text_stands_out(opened, scheme):
    page = opened()
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = page.evaluate(
        """[...document.querySelectorAll('main *')].filter(e => e.checkVisibility()
        && !e.closest('.scroll, svg, .hidden, .stage, .axis-x')
        && e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    ground, *inks = page.evaluate(
        """['body', '.legend', '.headlines dd', '.protocol', '.status', 'summary', 'nav a']
        .map((s, i) => { const c = getComputedStyle(document.querySelector(s));
          return i ? c.color : c.backgroundColor; })"""
    )
    assert (luminance(ground) < 0.1) == (scheme == "dark")
    for ink in inks:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    page.set_viewport_size({"width": 1000, "height": 800})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def luminance(css):
    """Relative luminance of rgb(r, g, b), WCAG 2.2."""
    share = np.array([float(v) for v in css[4:-1].split(",")]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_nothing_can_be_fetched(report):
    text = report.read_text()
    assert "default-src 'none'" in text
    assert "http://" not in text and "https://" not in text
