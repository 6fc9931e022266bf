"""Progress on standard error: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from lenet_xp.system.text import printable

DELAY = 2.0  # seconds: a shorter search is not reported


@contextmanager
def progress_bar(total: int, label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of images finished since its last call."""
    label = printable(label)
    if shown and sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit=" images", file=sys.stderr) as bar:
            yield bar.update
        return
    if shown:
        print(f"{label}: {total:,} images", file=sys.stderr)
    yield lambda count: None


@contextmanager
def search_report(label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of files just found; silent for the first DELAY."""
    label = printable(label)
    if shown and sys.stderr.isatty():
        with tqdm(desc=label, unit=" files", file=sys.stderr, delay=DELAY, leave=False) as bar:
            yield bar.update
        return
    start, reported = time.monotonic(), not shown

    def advance(count: int) -> None:
        nonlocal reported
        if not reported and time.monotonic() - start > DELAY:
            print(f"{label} ...", file=sys.stderr)
            reported = True

    yield advance


class LinesAndBar:
    """A context manager that prints lines, with one bar below them on a terminal.

    live: whether standard error is a terminal; otherwise there is no bar.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._bar: tqdm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def say(self, text: str) -> None:
        """Remove the bar and print one line."""
        self._close()
        print(printable(text), file=sys.stderr, flush=True)

    def move(self, label: str, done: int, total: int, unit: str, note: str, start: int = 0) -> None:
        """Set the bar to `done`; a new bar begins at `start`, from which its speed is measured."""
        if not self.live:
            return
        if self._bar is None:
            style = {"unit": f" {unit}", "leave": False, "dynamic_ncols": True}
            self._bar = tqdm(total=total, initial=start, desc=label, file=sys.stderr, **style)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
