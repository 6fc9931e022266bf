"""Make results/demo/: a picture of the demo's page, and its response times after pen-up.

Draws generated letters on the page of the running command with a real pointer in a real Chromium,
as the tests do (pip install '.[test]', apt-get install chromium chromium-driver). The page itself
measures the times from the pointer event until it holds the probabilities, and until the frame
after that.
"""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import atomic_write, make_folder, write_json
from lenet_xp.system.progress import progress_bar

if TYPE_CHECKING:
    from browser import Page, Strokes

EXAMPLES = """\
  python -m studies.demo_picture
      demo.png and latency.json in results/demo"""

ROOT = Path(__file__).resolve().parent.parent
SHOWN_LETTER = "yaz"
SHOWN_EXAMPLE = 17  # number of the generated example
WINDOW = (1280, 940)  # pixels: width and height
PICTURE_SCALE = 1.5  # device pixels per CSS pixel
SPANS = ("pen-up to probabilities", "pen-up to paint")


@contextmanager
def _demo() -> Iterator[str]:
    """The address of `lenet-xp demo`, which runs in a process of its own."""
    command = [sys.executable, "-m", "lenet_xp", "demo", "--port", "0", "--no-browser"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, text=True, cwd=ROOT) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            address = re.search(r"http://\S+", line)
            if address is None:
                raise InputError("the demo did not start; see why with lenet-xp demo")
            yield address[0]
        finally:
            process.terminate()


def _strokes(name: str, number: int) -> "Strokes":
    """The strokes of a generated letter, in the middle of the paper."""
    from demo_server import pen_strokes

    return [
        [[0.5 + (x - 0.5) * 0.62, 0.1 + 0.8 * y] for x, y in stroke]
        for stroke in pen_strokes(name, number)
    ]


def _measure(page: "Page") -> dict[str, Any]:
    """The record of the response times over all strokes of all letters."""
    load = os.getloadavg()[0]
    page.open(*WINDOW)
    with progress_bar(len(letters()), "writing") as advance:
        for letter in letters():
            page.draw(_strokes(letter.name, 0))
            page.wait("!document.querySelector('#readings li').ariaHidden.includes('true')")
            page.find("#clear").click()
            advance(1)
    script = "performance.getEntriesByName({!r}).map((each) => each.duration)"
    found = {name: np.array(page.js(script.format(name))) for name in SPANS}
    return {
        "strokes": len(found[SPANS[0]]),
        "milliseconds": {
            name: {"median": round(float(np.median(times)), 1),
                   "percentile_95": round(float(np.percentile(times, 95)), 1),
                   "longest": round(float(times.max()), 1)}
            for name, times in found.items()
        },
        "load_average_before": round(load, 2),
        "load_average_after": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "cpu": cpu_name(),
        "browser": "Chromium {browserVersion}, headless, without a GPU".format(
            **page.driver.capabilities),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": "python -m studies.demo_picture",
    }  # fmt: skip


def _picture(page: "Page") -> bytes:
    """A PNG of the page with a letter drawn and read."""
    page.open(*WINDOW)
    page.draw(_strokes(SHOWN_LETTER, SHOWN_EXAMPLE))
    page.reading(SHOWN_LETTER)
    page.js("document.querySelector('#speed').textContent = ''")  # no time of one stroke
    page.wait("document.getAnimations().length === 0")
    shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    return base64.b64decode(shot["data"])


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.demo_picture", __doc__, EXAMPLES)
    p.add_argument(
        "--out",
        type=Path,
        default=Path("results/demo"),
        metavar="FOLDER",
        help="(default: results/demo)",
    )
    options = p.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from browser import Page, chromium, programs
    except ImportError as error:
        raise InputError(f"{error}; pip install '.[test]'") from error
    if programs() is None:
        raise InputError("Chromium is not installed: apt-get install chromium chromium-driver")
    folder = make_folder(options.out)
    with _demo() as address:
        with chromium() as driver:
            record = _measure(Page(driver, address))
        with chromium(PICTURE_SCALE) as driver:
            picture = _picture(Page(driver, address))
    write_json(folder / "latency.json", record)
    with atomic_write(folder / "demo.png") as file:
        file.write(picture)
    for name, times in record["milliseconds"].items():
        print(f"{name}: median {times['median']} ms, 95 % within {times['percentile_95']} ms")


if __name__ == "__main__":
    sys.exit(run(main))
