"""Progress on standard error: a bar on a terminal, plain lines in a log; it stops no work."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lenet_xp.system.streams import say
from lenet_xp.system.text import printable

DELAY = 2.0  # seconds: a shorter search is not reported


@contextmanager
def progress_bar(total: int, label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of images finished since its last call."""
    label = printable(label)
    live = shown and _on_terminal()
    if shown and not live:
        say(f"{label}: {total:,} images")
    if not live:
        yield lambda count: None
        return
    with _new_bar(total=total, desc=label, unit=" images") as bar:
        yield bar.update


@contextmanager
def search_report(label: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of files just found; silent for the first DELAY."""
    label = printable(label)
    if shown and _on_terminal():
        with _new_bar(desc=label, unit=" files", delay=DELAY, leave=False) as bar:
            yield bar.update
        return
    start, reported = time.monotonic(), not shown

    def advance(count: int) -> None:
        nonlocal reported
        if not reported and time.monotonic() - start > DELAY:
            say(f"{label} ...")
            reported = True

    yield advance


class LinesAndBar(ExitStack):
    """A context manager that prints lines, with one bar below them on a terminal.

    live: whether standard error is a terminal; otherwise there is no bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = _on_terminal()
        self._bar: Any = None
        self.callback(self._remove)

    def say(self, text: str) -> None:
        """Remove the bar and print one line."""
        self._remove()
        say(printable(text))

    def move(self, label: str, done: int, total: int, unit: str, note: str, start: int = 0) -> None:
        """Set the bar to `done`; a new bar begins at `start`, from which its speed is measured."""
        if not self.live:
            return
        if self._bar is None:
            style = {"unit": f" {unit}", "leave": False, "dynamic_ncols": True}
            self._bar = _new_bar(total=total, initial=start, desc=label, **style)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def _remove(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _new_bar(**options: Any) -> Any:
    from tqdm import tqdm  # which takes longer to import than a letter takes to read

    return tqdm(**options)


def _on_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it was closed
        return False
