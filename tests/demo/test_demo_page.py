"""The demo's page in a real Chromium: what a visitor draws, presses, drops, hears and sees."""

import json
import statistics
import zipfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.resources import files

import numpy as np
import pytest
from demo_server import pen_strokes, served, written

import lenet_xp
from lenet_xp.data.sources import load_dataset
from lenet_xp.demo.reading import find_letters
from lenet_xp.demo.site import site_files
from lenet_xp.inference import feature_maps
from lenet_xp.layers import Conv2D, Flatten, Linear, MaxPool2D, ReLU
from lenet_xp.model import Sequential
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.reader import Reader
from lenet_xp.system.opencv import cv2

pytest.importorskip("selenium")
from browser import Page, chromium, programs
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.skipif(programs() is None, reason="needs chromium and chromedriver")

FIRST = "document.querySelector('#readings li')"
TROUBLE = "document.querySelector('#trouble').textContent"
PEN_UPS = "performance.getEntriesByName('pen-up to probabilities').map((each) => each.duration)"
LIT = """[...document.querySelectorAll('#layers .map canvas')].map((each) => {
    const pixels = each.getContext('2d').getImageData(0, 0, each.width, each.height).data;
    return [each.id, new Set(new Uint32Array(pixels.buffer)).size]; })"""
KERNELS = """new Set(new Uint32Array(kernels.getContext('2d').getImageData(
    0, 0, kernels.width, kernels.height).data.buffer)).size"""
RED = """Array.from({ length: 1024 }, (_, i) => seen.getContext('2d')
    .getImageData(0, 0, 32, 32).data[4 * i])"""
INK = """document.querySelector('#canvas').getContext('2d')
    .getImageData(0, 0, 300, 300).data.some(Boolean)"""
BARS = """[...document.querySelectorAll('#readings li:not(.none) .bar i')]
    .map((each) => each.getBoundingClientRect().width)"""
DROP = """fetch('icon.svg').then((each) => each.blob()).then((blob) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([blob], 'a.pgm'));
    const options = { dataTransfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent('drop', options)); })"""
GLYPHS = """[...document.querySelectorAll('#sheet .glyph')].map((each) => {
    const context = new OffscreenCanvas(60, 40).getContext('2d');
    context.font = '30px Letters';
    context.fillText(each.textContent, 2, 32);
    return context.getImageData(0, 0, 60, 40).data.join(); })"""
SPOKEN = """import('./words.js').then(({ WORDS }) => Object.fromEntries(
    Object.entries(WORDS).map(([name, words]) => [name, Object.keys(words).concat(
        Object.keys(words.kinds), Object.keys(words).filter((each) => each !== 'unreviewed'
        && !words[each]).map((each) => `${each} is empty`))])))"""
UNTRANSLATED = """[...document.querySelectorAll('[data-words]:not([hidden])')]
    .filter((each) => !each.textContent).length"""
OUTSIDE = """[...document.querySelectorAll('button, select, canvas, p, figure')]
    .filter((each) => !each.closest('#sheet') && (each.getBoundingClientRect().right > innerWidth
    || each.getBoundingClientRect().left < 0)).length"""
TINY = """[...document.querySelectorAll('button, select')].filter((each) => each.offsetHeight
    && (each.offsetHeight < 44 || each.offsetWidth < 44)).map((each) => each.outerHTML)"""
STYLE = "getComputedStyle(document.querySelector({!r})).{}"
CROSS = [[[0.5, 0.15], [0.5, 0.5], [0.5, 0.85]], [[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]]]
LANGUAGES = ("en", "fr", "ar", "zgh")
LETTERS = {"yaz": 17, "yab": 0}


@pytest.fixture(scope="module")
def site():
    saved = load_model(SHIPPED, get_ops("numpy"))
    return site_files(saved, photos=True), partial(find_letters, reader=Reader(saved))


@pytest.fixture(scope="module")
def driver():
    with chromium(logged=True) as driver:
        driver.get("about:blank")
        driver.get_log("performance")  # of the browser's own first page
        yield driver


@pytest.fixture(scope="module")
def address(site):
    with served(*site) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(driver, address):
    """The page, fresh; at the end it has asked nobody else and found no fault with itself."""
    page = Page(driver, address)
    page.open()
    yield page
    told = [each["message"] for each in driver.get_log("browser")]
    assert [each for each in told if "getImageData" not in each] == []  # these tests read much
    page.js("localStorage.clear()")
    sent = requests(driver)
    assert sent and all(url.startswith(address) for url in sent), sent


def requests(driver):
    """The addresses that pages have asked for since this was asked last."""
    events = [json.loads(each["message"])["message"] for each in driver.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def strokes(name, number=0):
    """A generated letter where a hand would write it."""
    return [
        [[0.5 + (x - 0.5) * 0.6, 0.1 + 0.8 * y] for x, y in s] for s in pen_strokes(name, number)
    ]


def lit(page):
    """How many different colours each picture of the network shows."""
    return dict(page.js(LIT))


def test_letters_are_read_as_they_are_drawn(page, record_property):
    paper = lit(page)
    assert list(paper) == ["seen", "saliency", "C1", "S2", "C3", "S4", "C5", "F6", "output"]
    for name, number in LETTERS.items():
        page.draw(strokes(name, number))
        assert page.reading(name) > 0.5
        page.wait(f"{LIT.replace(chr(10), ' ')}.every(([, count]) => count > 9)")
        bars = page.js(BARS)
        assert bars == sorted(bars, reverse=True) and bars[0] > 0
        page.find("#clear").click()
        page.wait(f"{LIT.replace(chr(10), ' ')}.every(([, count]) => count <= 2)")
        assert lit(page) == paper and not page.js(f"{FIRST}.textContent")
    entries = page.js(PEN_UPS)
    record_property("median ms from pen-up to probabilities", statistics.median(entries))
    assert len(entries) >= len(LETTERS)


def test_the_maps_of_any_network_take_their_places(driver):
    saved = load_model(SHIPPED, get_ops("numpy"))
    layers = [Conv2D(1, 80, (3, 5), name="first"), ReLU(), MaxPool2D(2), Flatten()]
    network = Sequential([*layers, Linear(80 * 210, 33)], (1, 32, 32), saved.model.ops)
    saved = replace(saved, model=network)
    site = site_files(saved, photos=True), partial(find_letters, reader=Reader(saved))
    with served(*site) as port:
        page = Page(driver, f"http://127.0.0.1:{port}/")
        page.open()
        page.draw(strokes("yab"))
        assert list(lit(page)) == ["seen", "saliency", "first", "maxpool2d_1", "linear_1"]
        caption = page.js("document.querySelector('#first').closest('figure').textContent")
        assert caption.startswith("first 64 / 80 × 30 × 28 · ")
        sizes = page.js("[first.width, first.height, seen.width, seen.height]")
        assert sizes == [16 * 29 - 1, 4 * 31 - 1, 32, 32]
        assert "80 × 30 × 28" in page.js("first.ariaLabel")
        page.wait(f"{LIT.replace(chr(10), ' ')}.every(([, count]) => count > 8)")
        page.find("#clear").click()
        page.wait(f"{LIT.replace(chr(10), ' ')}.every(([, count]) => count <= 2)")
    requests(driver)  # the next test counts its own alone


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_finger_and_pen_write_as_the_mouse_does_and_the_page_stays_where_it_is(page, pointer):
    page.open(360, 740)
    page.js("""document.addEventListener('pointerdown', (event) => {
        document.body.dataset.pointer = event.pointerType; })""")
    page.pointer = pointer
    paper = page.find("#canvas")
    page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", paper)
    before = page.js("scrollY")
    page.draw(CROSS)
    assert page.reading("yat") > 0.5
    assert page.js("document.body.dataset.pointer") == pointer
    assert page.js("scrollY") == before
    page.find("#clear").click()
    page.wait(f"!{FIRST}.textContent")


def test_the_reading_does_not_wait_for_the_pen_to_be_lifted(page):
    paper = lit(page)
    actions = page.hold(strokes("yan")[0])
    page.wait(f"{FIRST}.textContent.includes('yan')")
    assert lit(page)["C1"] > paper["C1"]
    assert page.js(PEN_UPS) == []
    actions.pointer_action.pointer_up(0)
    actions.perform()


def test_a_small_circle_below_the_line_is_ya_and_a_tall_one_yar(page):
    angle = np.linspace(-1.6, 4.8, 20)
    for name, middle, radius in (("ya", 0.71, 0.16), ("yar", 0.5, 0.36)):
        for aside in (0.3, 0):
            circle = np.stack([0.5 - aside * (name == "ya") + radius * np.cos(angle) * 0.9,
                               middle + radius * np.sin(angle)], axis=1)  # fmt: skip
            page.draw([circle.tolist()])
            page.reading(name)
            names = page.find("#readings").text
            assert "yar" in names and "ya\n" in names
            assert "ⴰ" in page.find("#remark").text
            page.keys(Keys.DELETE)


def test_a_photo_of_a_ring_says_that_its_size_is_unknown(page, tmp_path):
    cv2.imwrite(str(tmp_path / "ring.png"), np.pad(written("yar"), 100, constant_values=255))
    page.find("#photo").send_keys(str(tmp_path / "ring.png"))
    page.reading("ya")
    remark = page.find("#remark").text
    assert "photo" in remark and "dashed" not in remark


@pytest.mark.parametrize(("name", "left", "top"), [("yaz", 0.2, 0.05), ("yagw", 0.7, 0.65)])
def test_a_small_letter_is_read_wherever_it_stands(page, name, left, top):
    small = [
        [[left + (x - 0.2) * 0.3, top + (y - 0.1) * 0.3] for x, y in stroke]
        for stroke in strokes(name, 17)
    ]
    page.draw(small)
    assert page.reading(name) > 0.5


def test_undo_and_clear_by_button_and_key(page):
    undo, clear = page.find("#undo"), page.find("#clear")
    assert not undo.is_enabled() and not clear.is_enabled()
    page.draw(CROSS)
    page.reading("yat")
    undo.click()
    page.reading("yan")
    page.draw(CROSS[1:])
    page.reading("yat")
    page.chord(Keys.CONTROL, "z")
    page.reading("yan")
    page.chord(Keys.CONTROL, "z")
    page.wait(f"!{FIRST}.textContent")
    assert not undo.is_enabled()
    page.draw(CROSS)
    page.reading("yat")
    page.keys(Keys.DELETE)
    page.wait(f"!{FIRST}.textContent")
    page.wait(f"!({INK})")
    page.draw(CROSS)
    clear.click()
    page.wait("document.querySelector('#undo').disabled")


def test_four_languages_that_are_remembered(page):
    title = {"en": "Handwriting", "fr": "L’écriture", "ar": "الكتابة", "zgh": "ⵜⵉⵔⵔⴰ"}
    assert page.js("document.documentElement.lang") == "en"
    for name, word in title.items():
        page.speak(name)
        assert page.js("document.documentElement.lang") == name
        assert page.js("document.documentElement.dir") == ("rtl" if name == "ar" else "ltr")
        assert word in page.find("h1").text and word in page.driver.title
        assert page.js(UNTRANSLATED) == 0
        assert page.find("#unreviewed").is_displayed() == (name in ("ar", "zgh"))
    page.open()
    assert page.js("document.documentElement.lang") == "zgh"
    assert page.find("#language").get_attribute("value") == "zgh"
    assert page.find("#undo").text == "ⵙⵔ"


def test_every_language_says_everything(page):
    known = page.js(SPOKEN)
    assert set(known) == {"en", "fr", "ar", "zgh"}
    assert sorted(known["en"]) == sorted(known["fr"]) == sorted(known["ar"]) == sorted(known["zgh"])
    assert not [each for each in known["en"] if "empty" in each]


def test_glyphs_are_drawn_and_none_is_an_empty_box(page):
    assert page.js("document.fonts.check('20px Letters', 'ⵣ')")
    drawn = page.js(GLYPHS)
    assert len(drawn) == len(set(drawn)) == 33
    assert page.js(STYLE.format("#sheet .glyph", "fontFamily")).startswith("Letters")


def test_a_photo_is_chosen_dropped_or_refused(page, tmp_path):
    photo, other = tmp_path / "photo.png", tmp_path / "notes.png"
    cv2.imwrite(str(photo), np.pad(written("yat"), 100, constant_values=255))
    other.write_text("no picture")
    page.find("#photo").send_keys(str(photo))
    page.reading("yat")
    page.wait(INK)
    page.keys(Keys.DELETE)
    page.wait(f"!({INK})")
    scan = tmp_path / "scan.pgm"  # read, but no browser shows it: then its name stands there
    cv2.imwrite(str(scan), np.pad(written("yaz"), 100, constant_values=255))
    page.find("#photo").send_keys(str(scan))
    page.reading("yaz")
    page.wait(INK)
    assert not page.find("#guides").is_displayed()
    page.find("#photo").send_keys(str(other))
    page.wait(f"{TROUBLE}.includes('not an image')")
    assert not page.js(f"{FIRST}.textContent")
    page.js(DROP)
    page.wait(f"{TROUBLE}.includes('not an image')")
    told = []  # by Chromium of the server's two refusals, if perhaps a little later

    def refused_twice(driver):
        told.extend(each["message"] for each in driver.get_log("browser"))
        return sum("status of 422" in each for each in told) == 2  # the port may hold a 422, too

    with suppress(TimeoutException):
        WebDriverWait(page.driver, 30, 0.02).until(refused_twice)
    assert refused_twice(page.driver), told
    page.draw(CROSS)
    page.reading("yat")
    assert not page.find("#trouble").text


def test_the_sheet_and_show_me_by_keyboard_alone(page):
    page.js("document.querySelector('#choose').focus()")
    page.keys(Keys.TAB)
    focus = "document.activeElement.dataset.name"
    assert page.js(focus) == "ya"
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert page.js(focus) == "ya"
    page.keys(Keys.END)
    assert page.js(focus) == "yu"
    page.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.js(focus) == "yaz"
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keys(Keys.ENTER)
    assert page.js("document.activeElement.ariaPressed") == "true"
    page.wait(INK)  # the template
    assert not page.js(f"{FIRST}.textContent")
    page.js("document.querySelector('#example').focus()")
    page.keys(Keys.ENTER)
    page.reading("yaz")
    page.js("document.querySelector('#wrong').focus()")
    page.keys(Keys.TAB)
    assert page.js(focus) == "yaz"
    page.keys(Keys.SPACE)
    assert page.js("document.querySelectorAll('#sheet [aria-pressed=true]').length") == 0


def test_nothing_moves_by_itself_for_who_asked_for_that(page):
    media = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert page.js(STYLE.format("#readings .bar i", "transitionDuration")) == "0s"
        page.find("[data-name=yam]").click()
        page.find("#example").click()
        page.reading("yam")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_needs_sideways_scrolling(page, width):
    for name in LANGUAGES:
        page.open(width, 640)
        page.speak(name)
        assert page.js("document.documentElement.scrollWidth") <= width
        assert page.js(OUTSIDE) == 0 and page.js(TINY) == []


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("size", [(360, 640), (412, 915)])
def test_a_phone_shows_paper_reading_and_letters_at_once(page, name, size):
    page.open(*size)
    page.speak(name)
    page.draw(CROSS)
    page.reading("t")
    page.js("scrollTo(0, 0)")
    for selector in ("#paper", "#tools", "#readings li", "#readings .none", "#right", "#sheet"):
        box = page.js(f"document.querySelector({selector!r}).getBoundingClientRect()")
        assert box["top"] >= 0 and box["bottom"] <= size[1], selector
    assert page.js("canvas.clientWidth") >= 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(360, 640), (1280, 940)])
@pytest.mark.parametrize("name", LANGUAGES)
def test_axe_finds_nothing(page, scheme, size, name):
    axe = files(pytest.importorskip("axe_core_python")).joinpath("axe.min.js").read_text("utf-8")
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.open(*size)
        page.speak(name)
        page.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        for filled in (False, True):
            if filled:
                page.js("document.querySelector('[data-name=yaz]').click()")
                page.draw(CROSS)
                page.reading("t")
                page.find("#right").click()
                page.draw(CROSS)
                page.reading("t")
                page.js("C3.focus()")
            page.wait("document.getAnimations().length === 0")
            found = page.driver.execute_async_script(
                "axe.run().then((each) => arguments[0](each.violations))"
            )
            told = [(e["id"], [n["html"] for n in e["nodes"]][:3]) for e in found]
            assert told == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_pointer_on_a_feature_shows_the_patch_and_the_kernel_that_made_it(page, site):
    page.draw(CROSS)
    page.reading("yat")
    page.wait("new Set(C3.getContext('2d').getImageData(0, 0, 9, 9).data).size > 3")
    assert not page.find("#lens canvas").is_displayed()
    page.js("C3.focus()")
    page.keys(*[Keys.ARROW_RIGHT] * 3, *[Keys.ARROW_DOWN] * 2, Keys.PAGE_DOWN)
    told = page.find("#lens p").text
    assert told.startswith("C3, 2: ")  # the second map
    saved = load_model(SHIPPED, get_ops("numpy"))
    red = np.array(page.js(RED)).reshape(32, 32)  # from the paper's 255 to the ink's 27
    seen = np.rint((255 - red) / 228 * 255).astype(np.uint8)
    expected = feature_maps(saved.model, seen, saved.preprocessing)["C3"][1, 2, 3]
    assert float(told.split()[-1].replace("−", "-")) == pytest.approx(expected, abs=0.06)
    marks = (
        "[...document.querySelectorAll('.mark')].map((each) => each.parentElement.firstChild.id)"
    )
    for layer, sources in (("C1", []), ("S2", ["C1"]), ("C3", ["S2"] * 6), ("C5", ["S4"] * 16),
                           ("F6", ["C5"]), ("output", ["F6"])):  # fmt: skip
        canvas = page.find(f"#{layer}")
        page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
        ActionChains(page.driver, 0).move_to_element_with_offset(canvas, 3, 0).perform()
        assert page.find("#lens p").text.startswith(f"{layer}, ")
        field = [] if layer in ("C5", "F6", "output") else ["seen", "saliency"]
        assert sorted(page.js(marks)) == sorted([layer, *sources, *field])
    page.find("#clear").click()
    page.wait("document.querySelector('#lens canvas').hidden")


def test_drawings_are_kept_and_leave_as_a_zip_that_training_takes(page, tmp_path):
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    assert not page.find("#kept").is_displayed()
    page.draw(CROSS)
    page.reading("yat")
    assert page.find("#question span").text == "Was it ⵜ yat?"
    page.find("#right").click()
    page.wait(f"!{FIRST}.textContent")  # the paper is free again
    for name in ("ya", "yan"):
        page.draw(strokes("yar"))
        page.reading("yar")
        page.find("#wrong").click()
        page.find(f"[data-name={name}]").click()
        page.wait(f"!{FIRST}.textContent")
    assert page.js("document.querySelectorAll('#sheet [aria-pressed=true]').length") == 0
    page.open()  # they stay
    assert "3" in page.find("#kept p").text
    page.find("#download").click()
    WebDriverWait(page.driver, 10, 0.05).until(lambda _: (tmp_path / "drawings.zip").is_file())
    with zipfile.ZipFile(tmp_path / "drawings.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["yat/1.png", "ya/2.png", "yan/3.png"]
        images = {
            name.split("/")[0]: cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), 0)
            for name in archive.namelist()
        }
    assert all(each.shape == (64, 64) and each.min() < 30 for each in images.values())
    assert (images["ya"][:30] == 255).all() and (images["yat"][:8] < 128).any()
    assert lenet_xp.load_model().read(images["yat"]).name == "yat"
    assert lenet_xp.load_model().read(images["ya"]).name == "ya"
    assert load_dataset(tmp_path / "drawings.zip").class_names == ("ya", "yan", "yat")
    page.js("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.draw(CROSS)
    page.reading("yat")
    page.find("#right").click()
    page.wait(f"{TROUBLE}.includes('no room')")
    assert "3" in page.find("#kept p").text and page.js(INK)
    page.find("#forget").click()
    assert not page.find("#kept").is_displayed()


def test_a_network_is_trained_in_the_page_while_one_watches(page):
    seen = "Number(document.querySelector('#learned').textContent.split(' ')[0])"
    assert not page.find("#lesson").is_displayed() and page.find("#train").text == "Train"
    page.find("#train").click()
    page.wait(f"{seen} >= 32")
    page.draw(CROSS)  # meanwhile the page reads as before
    assert page.reading("yat") > 0.5
    assert page.find("#train").text == "Stop" and "loss" in page.find("#learned").text
    assert page.js(KERNELS) > 20 and page.js(
        "curve.getContext('2d').getImageData(0, 0, 600, 160).data.some(Boolean)"
    )
    page.find("#train").click()
    count = page.js(seen)
    assert page.js("new Promise((done) => setTimeout(() => done(" + seen + "), 300))") == count
    assert page.find("#train").text == "Train"


def test_what_is_no_letter_is_none_of_these(page):
    rng = np.random.default_rng(5)
    page.draw([(0.5 + 0.35 * rng.uniform(-1, 1, (14, 2))).tolist() for _ in range(2)])
    page.wait("document.querySelector('#readings .none .share').textContent")
    assert page.find("#remark").text == "This is none of the letters."
    share = page.js("document.querySelector('#readings .none .share').textContent")
    assert float(share.rstrip("%")) > 50


def test_a_photo_of_several_letters_is_read_as_a_page(page, tmp_path):
    lines = np.hstack([written(name) for name in ("yaz", "yat", "yab")])
    cv2.imwrite(str(tmp_path / "page.png"), lines)
    page.find("#photo").send_keys(str(tmp_path / "page.png"))
    page.wait("!document.querySelector('#page').hidden")
    assert [each.text for each in page.driver.find_elements(By.CSS_SELECTOR, "#page p")] == [
        "ⵣⵜⴱ",
        "ztb",
    ]
    assert not page.find("#question").is_displayed()
    page.find("#clear").click()
    page.draw(CROSS)
    page.reading("yat")
    assert not page.find("#page").is_displayed()


def test_a_screen_reader_finds_names_landmarks_and_a_calm_reading(page):
    page.draw(CROSS)
    page.wait("document.querySelector('#spoken').textContent.startsWith('yat, t, ')")
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (each["role"]["value"], each.get("name", {}).get("value", ""))
        for each in nodes
        if not each["ignored"]
    ]
    roles = {role for role, _ in named}
    assert {"banner", "main", "region", "heading", "list", "status", "toolbar"} <= roles, roles
    of_note = [
        pair for pair in named if pair[0] in ("button", "image", "region", "toolbar", "group")
    ]
    assert len(of_note) > 40 and all(name for _, name in of_note), of_note
    assert ("button", "yaz z") in named and ("image", "Paper to write on") in named
    live = page.driver.find_elements(By.CSS_SELECTOR, "[aria-live]")
    assert [each.get_attribute("aria-live") for each in live] == ["polite"]


def test_a_server_that_has_gone_is_told_in_words_and_drawings_are_still_read(
    driver, site, tmp_path
):
    cv2.imwrite(str(tmp_path / "photo.png"), np.pad(written("yat"), 100, constant_values=255))
    with served(*site) as port:
        page = Page(driver, f"http://127.0.0.1:{port}/")
        page.open()
    page.find("#photo").send_keys(str(tmp_path / "photo.png"))
    page.wait(f"{TROUBLE}.includes('does not answer')")
    page.draw(CROSS)
    page.reading("yat")
    driver.get_log("browser")
    driver.get_log("performance")
