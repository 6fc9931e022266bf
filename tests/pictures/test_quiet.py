"""In a command, what C libraries print of damaged images does not reach standard error.

What we say does. `tests/system/test_guest.py` has the library, which mutes nobody.
"""

import io
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenet_xp.commands import terminal
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.system import streams
from lenet_xp.system.own_process import owned

ROOT = Path(__file__).resolve().parents[2]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(
        buffer, "jpeg"
    )
    data = bytearray(buffer.getvalue())
    del data[len(data) // 2 : len(data) // 2 + 60]  # libjpeg: Corrupt JPEG data
    return bytes(data)


def tiff() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 200).save(buffer, "tiff", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    data[8:40] = b"\xff" * 32  # libtiff: Using code not yet in table, or the like
    return bytes(data)


def many_samples() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "tiff")
    data = buffer.getvalue()
    place = data.index((277).to_bytes(2, "little")) + 8
    return data[:place] + (200).to_bytes(2, "little") + data[place + 2 :]


@pytest.mark.parametrize("make", [jpeg, tiff, many_samples], ids=lambda make: make.__name__)
def test_libraries_say_nothing(capfd, make):
    with owned(), suppress(InputError):
        ImageFile(make(), "x").page()
    assert capfd.readouterr() == ("", "")


def test_libjpeg_would_say_something(capfd):
    """Else the test above would prove nothing."""
    from lenet_xp.system.opencv import cv2

    cv2.imdecode(np.frombuffer(jpeg(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert "Corrupt JPEG data" in capfd.readouterr().err


def test_pillow_logs_nowhere_by_itself():
    pillow = logging.getLogger("PIL")
    before = list(pillow.handlers)
    with owned():
        assert any(isinstance(each, logging.NullHandler) for each in pillow.handlers)
    assert pillow.handlers == before


@pytest.mark.parametrize("run", ["run(draw)", "draw(None)"], ids=["a command", "another program"])
def test_commands_are_silent_on_where_matplotlib_keeps_its_cache(run, tmp_path):
    (tmp_path / "home").write_text("no folder")
    lines = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})",
        "from lenet_xp.commands.terminal import run",
        "def draw(arguments): import lenet_xp.plots",
        run,
    )
    settings = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    kept = {k: v for k, v in os.environ.items() if k not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=kept | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert ("MPLCONFIGDIR" in done.stderr) == (run == "draw(None)")  # there it says so itself


PROGRAM = """
import os, sys, threading
sys.path.insert(0, {root!r})
from lenet_xp.system import streams
from lenet_xp.system.own_process import owned

streams._prepare()
before = sys.stderr
with owned():
    with owned():
        os.write(2, b"a library\\n")
        print("we", file=sys.stderr)
    os.write(2, b"still a library\\n")
    thread = threading.Thread(target=lambda: print("a thread", file=sys.stderr))
    thread.start()
    thread.join()
assert sys.stderr is before
os.write(2, b"after it\\n")
print("at the end", file=sys.stderr)
"""


def test_what_we_say_goes_through():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT))], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["we", "a thread", "after it", "at the end"]


CLOSED = """
import os, sys
os.close(2)
sys.path.insert(0, {root!r})
from lenet_xp.system import streams
from lenet_xp.system.own_process import owned
with owned():
    pass
print("through")
"""


def test_without_standard_error():
    done = subprocess.run(
        [sys.executable, "-c", CLOSED.format(root=str(ROOT))], capture_output=True, text=True
    )
    assert done.stdout == "through\n"


def test_an_error_of_many_words_is_shortened(capsys):
    def fails(arguments):
        raise InputError(f"x.zip: member {'n' * 65_535!r} leads out; pack it again")

    assert terminal.run(fails, []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 2 * streams.MAX_ERROR_LENGTH
    assert line.startswith("error: x.zip: member 'nnn")
    assert line.endswith("leads out; pack it again")
