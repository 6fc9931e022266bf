"""Progress: plain lines in a log, a bar on a terminal, and no control characters in either."""

import io
from types import SimpleNamespace

import pytest

from lenet_xp.system import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["log", "terminal"])
def stderr(request, monkeypatch):
    stream = Terminal() if request.param == "terminal" else io.StringIO()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
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
