"""Progress: plain lines in a log, a bar on a terminal, and no control characters in either."""

import io
import sys
from types import SimpleNamespace

import pytest
import tqdm.std

from lenet_xp.system import progress, streams


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["log", "terminal"])
def stderr(request, monkeypatch):
    stream = Terminal() if request.param == "terminal" else io.StringIO()
    for module in (progress, streams, tqdm.std):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stream, stdout=None))
    return stream


def test_a_bar_of_images(stderr):
    with progress.progress_bar(12, "ya\x1b") as advance:
        advance(5)
        advance(7)
    if stderr.isatty():
        assert "ya\\x1b: 100%" in stderr.getvalue() and "12/12" in stderr.getvalue()
    else:
        assert stderr.getvalue() == "ya\\x1b: 12 images\n"


def test_nothing_is_shown_unasked(stderr):
    with progress.progress_bar(12, "ya", shown=False) as advance:
        advance(12)
    with progress.search_report("ya", shown=False) as advance:
        advance(12)
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("delay", [-1.0, 1000.0])
def test_only_a_long_search_is_reported(stderr, monkeypatch, delay):
    monkeypatch.setattr(progress, "DELAY", delay)
    with progress.search_report("searching x\ny") as advance:
        for _ in range(3):
            advance(1)
    text = stderr.getvalue()
    assert ("searching x\\ny" in text) == (delay < 0)
    if not stderr.isatty():
        assert text == ("searching x\\ny ...\n" if delay < 0 else "")


def test_lines_stay_and_the_bar_goes(stderr):
    with progress.LinesAndBar() as lines:
        lines.move("epoch 1/2", 30, 60, "images", "loss 0.5")
        lines.move("epoch 1/2", 60, 60, "images", "loss 0.4")
        lines.say("epoch 1\x07 is over")
        lines.move("epoch 2/2", 10, 60, "images", "loss 0.3")
    text = stderr.getvalue()
    assert "epoch 1\\x07 is over\n" in text and "\x07" not in text
    if stderr.isatty():
        assert "epoch 1/2: " in text and "epoch 2/2: " in text and "0/60" in text
        assert text.endswith("\r")  # the last bar is wiped
    else:
        assert text == "epoch 1\\x07 is over\n"


class Broken(Terminal):
    """A terminal that goes away: the first so many writes reach it."""

    def __init__(self, writes, error):
        super().__init__()
        self.left, self.error = writes, error

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("writes", [0, 1, 3])
@pytest.mark.parametrize("error", [OSError(5, "EIO"), ValueError("it is closed")])
def test_a_terminal_that_goes_away_stops_no_work(monkeypatch, writes, error):
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(sys, "stderr", Broken(writes, error))
    done = 0
    with progress.progress_bar(9, "a") as advance, progress.search_report("b") as found:
        for _ in range(9):
            advance(1)
            found(1)
            done += 1
    with progress.LinesAndBar() as lines:
        for count in range(1, 5):
            lines.move("c", count, 4, "images", "note")
            lines.say("a line")
            done += 1
    assert done == 13


@pytest.mark.parametrize("closed", [True, False])
def test_without_standard_error_nothing_is_shown_anywhere(monkeypatch, capsys, closed):
    """A program may have none (pythonw), or have closed it; its output is not taken instead."""
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(sys, "stderr", stream if closed else None)
    with progress.progress_bar(9, "a") as advance, progress.search_report("b") as found:
        advance(9)
        found(9)
    with progress.LinesAndBar() as lines:
        lines.say("a line")
        lines.move("c", 1, 4, "images", "note")
    assert not lines.live and capsys.readouterr().out == ""
