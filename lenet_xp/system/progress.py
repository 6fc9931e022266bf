"""Progress on standard error: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from lenet_xp.system.text import printable as safe

DELAY = 2.0  # seconds: shorter searches are not reported


@contextmanager
def progress_bar(total: int, label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of images just done."""
    label = safe(label)
    if shown and sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit=" images", file=sys.stderr) as bar:
            yield bar.update
        return
    if shown:
        print(f"{label}: {total:,} images", file=sys.stderr)
    yield lambda count: None


@contextmanager
def search_report(label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """The same for a number of files that is not known before, and only once it takes long."""
    label = safe(label)
    if shown and sys.stderr.isatty():
        with tqdm(desc=label, unit=" files", file=sys.stderr, delay=DELAY, leave=False) as bar:
            yield bar.update
        return
    began, told = time.monotonic(), not shown

    def advance(count: int) -> None:
        nonlocal told
        if not told and time.monotonic() - began > DELAY:
            print(f"{label} ...", file=sys.stderr)
            told = True

    yield advance


class LinesAndBar:
    """Lines that stay and, where `live`, on a terminal, one bar below them.

    As a context it takes the bar away at its end.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._bar: tqdm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def say(self, text: str) -> None:
        """A line of its own; the bar that stood below ends."""
        self._close()
        print(safe(text), file=sys.stderr, flush=True)

    def move(self, label: str, done: int, total: int, unit: str, note: str, start: int = 0) -> None:
        """Move the bar, or begin one at `start`, which tells its speed; nothing unless live."""
        if not self.live:
            return
        if self._bar is None:
            self._bar = tqdm(
                total=total,
                initial=start,
                desc=label,
                unit=f" {unit}",
                leave=False,
                dynamic_ncols=True,
                file=sys.stderr,
            )
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
