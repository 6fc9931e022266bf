"""Make results/demo/: a picture of the demo's page, and how long it takes after the pen goes up.

    python studies/demo_picture.py

Writes generated letters on the page of the running command with a real pointer in a real Chromium,
as the tests do (pip install '.[test]', apt-get install chromium chromium-driver). The page itself
measures, from the pointer event to the moment it holds the probabilities and to the frame after.
"""

import argparse
import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np

try:
    from browser import Page, Strokes, chromium
except ImportError as error:
    print(f"error: {error}; pip install '.[test]'", file=sys.stderr)
    sys.exit(2)

from lenet_xp.demo.site import pen_strokes
from lenet_xp.letters.alphabet import letters
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.system.files import atomic_write, make_folder, write_json
from lenet_xp.system.progress import progress_bar

ROOT = Path(__file__).resolve().parent.parent
SHOWN, EXAMPLE = "yaz", 17  # the letter in the picture
WINDOW = (1280, 940)
SPANS = ("pen-up to probabilities", "pen-up to paint")


@contextmanager
def _demo() -> Iterator[str]:
    """The address of the command, running in a process of its own."""
    command = [sys.executable, str(ROOT / "scripts" / "demo.py"), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()


def _written(name: str, number: int) -> Strokes:
    return [
        [[0.5 + (x - 0.5) * 0.62, 0.1 + 0.8 * y] for x, y in stroke]
        for stroke in pen_strokes(name, number)
    ]


def _measure(page: Page) -> dict:
    """Milliseconds over every stroke of all letters."""
    load = os.getloadavg()[0]
    page.open(*WINDOW)
    with progress_bar(len(letters()), "writing") as advance:
        for letter in letters():
            page.draw(_written(letter.name, 0))
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
        "command": "python studies/demo_picture.py",
    }  # fmt: skip


def _picture(page: Page) -> bytes:
    page.open(*WINDOW)
    page.draw(_written(SHOWN, EXAMPLE))
    page.reading(SHOWN)
    page.js("document.querySelector('#speed').textContent = ''")  # no time of one stroke
    page.wait("document.getAnimations().length === 0")
    shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    return base64.b64decode(shot["data"])


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", type=Path, default=ROOT / "results" / "demo")
    options = p.parse_args()
    folder = make_folder(options.out)
    with _demo() as address:
        with chromium() as driver:
            record = _measure(Page(driver, address))
        with chromium(1.5) as driver:
            picture = _picture(Page(driver, address))
    write_json(folder / "latency.json", record)
    with atomic_write(folder / "demo.png") as file:
        file.write(picture)
    for name, times in record["milliseconds"].items():
        print(f"{name}: median {times['median']} ms, 95 % within {times['percentile_95']} ms")


if __name__ == "__main__":
    main()
