"""A headless Chromium, for the tests of the demo and for its picture."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.mouse_button import MouseButton
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=en",
)
Strokes = Sequence[Sequence[Sequence[float]]]  # [x, y] in fractions of the paper


def programs() -> tuple[str, str] | None:
    """Paths of Chromium and its driver if both are installed; nothing is downloaded."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def chromium(scale: float = 1.0, logged: bool = False) -> Iterator[webdriver.Chrome]:
    """A browser with its own profile, which is deleted at the end.

    logged: whether it records the requests of its pages, which takes time.
    """
    found = programs()
    if found is None:
        raise RuntimeError("Chromium and chromedriver are needed: apt-get install chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = found[0]
        for flag in (
            *FLAGS,
            f"--user-data-dir={Path(profile)}",
            f"--force-device-scale-factor={scale}",
        ):
            options.add_argument(flag)
        kinds = ("browser", "performance") if logged else ("browser",)
        options.set_capability("goog:loggingPrefs", dict.fromkeys(kinds, "ALL"))
        driver = webdriver.Chrome(options, webdriver.ChromeService(found[1]))
        try:
            yield driver
        finally:
            driver.quit()


class Page:
    """The demo as a user meets it, with a "mouse", a "pen" or a finger ("touch")."""

    pointer = "mouse"

    def __init__(self, driver: webdriver.Chrome, address: str):
        self.driver, self.address = driver, address

    def open(self, width: int = 1280, height: int = 1000) -> None:
        """Load the page in a viewport of this size; phones are narrower than a window can be."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 0, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(self.address)
        self.wait("document.body.dataset.ready === 'yes'")

    def wait(self, condition: str) -> object:
        """Wait until a JavaScript expression is truthy, and return its value."""
        message = f"never came true: {condition}"
        return WebDriverWait(self.driver, 10, 0.02).until(
            lambda driver: driver.execute_script(f"return {condition}"), message
        )

    def js(self, expression: str, *arguments: object) -> object:
        return self.driver.execute_script(f"return {expression}", *arguments)

    def speak(self, language: str) -> None:
        """Choose a language of the page."""
        chosen = f"#language option[value={language}]"
        self.driver.find_element(By.CSS_SELECTOR, chosen).click()

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys: str) -> None:
        """Press keys; the focused element receives them."""
        ActionChains(self.driver, 0).send_keys(*keys).perform()

    def chord(self, held: str, key: str) -> None:
        """Press a key while another is held."""
        ActionChains(self.driver, 0).key_down(held).send_keys(key).key_up(held).perform()

    def draw(self, strokes: Strokes, milliseconds: int = 8) -> None:
        """Draw strokes with the pointer, one event every few milliseconds."""
        for stroke in strokes:
            actions = self._written(stroke, milliseconds)
            actions.pointer_action.pointer_up(MouseButton.LEFT)
            actions.perform()

    def hold(self, stroke: Sequence[Sequence[float]], milliseconds: int = 8) -> ActionBuilder:
        """Draw one stroke, leave the mouse or pen down, and return what lifts it."""
        self._written(stroke, milliseconds).perform()
        return self._actions(milliseconds)

    def _written(self, stroke: Sequence[Sequence[float]], milliseconds: int) -> ActionBuilder:
        paper = self.find("#canvas")
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", paper)
        box = self.js("arguments[0].getBoundingClientRect().toJSON()", paper)
        actions = self._actions(milliseconds)
        for number, (x, y) in enumerate(stroke):
            place = box["left"] + x * box["width"], box["top"] + y * box["height"]
            actions.pointer_action.move_to_location(*map(round, place))
            if number == 0:
                actions.pointer_action.pointer_down(MouseButton.LEFT)
        return actions

    def _actions(self, milliseconds: int) -> ActionBuilder:
        pointer = PointerInput(self.pointer, self.pointer)
        return ActionBuilder(self.driver, mouse=pointer, duration=milliseconds)

    def reading(self, name: str) -> float:
        """Wait until a letter is shown first, and return the probability shown."""
        first = "document.querySelector('#readings li')"
        self.wait(f"{first}.textContent.includes({name!r})")
        text = str(self.js(f"{first}.querySelector('.share').textContent"))
        return float(text.strip("%\u200e\u200f ").replace(",", ".")) / 100
