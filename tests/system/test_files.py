"""Files appear whole or not at all, and every refusal of the system is one clear line."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lenet_xp.errors import InputError
from lenet_xp.system.files import (
    atomic_write,
    is_full,
    make_folder,
    write_csv,
    write_json,
    write_text,
)


def test_writes_what_the_block_wrote(tmp_path):
    with atomic_write(tmp_path / "a.bin") as handle:
        handle.write(b"one")
        handle.write(b"two")
    assert (tmp_path / "a.bin").read_bytes() == b"onetwo"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_old_file_is_whole_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as handle:
        handle.write(b"new")
        handle.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failure_midway_keeps_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_write(path) as handle:
        handle.write(b"half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_takes_a_numpy_archive(tmp_path):
    with atomic_write(tmp_path / "a.npz") as handle:
        np.savez(handle, weight=np.arange(6.0))
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["weight"], np.arange(6.0))


def test_a_new_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays_and_its_target_changes(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    write_text(path, "text")
    assert path.read_text() == "text"


def test_two_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    texts = [letter * 200_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["a.txt"]


def _refused(tmp_path: Path) -> dict[str, Path]:
    """Paths that even root cannot write to."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    return {
        "missing folder": tmp_path / "missing" / "a.txt",
        "file as folder": tmp_path / "file" / "a.txt",
        "folder": tmp_path,
        "pipe": tmp_path / "pipe",
        "long name": tmp_path / ("x" * 300),
        "read-only system": Path("/proc/lenet_xp.txt"),
    }


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        ("missing folder", "create its folder"),
        ("file as folder", "its path leads through a file"),
        ("folder", "choose another place"),
        ("pipe", "choose another place"),
        ("long name", "give a shorter name"),
        ("read-only system", "choose another place"),
    ],
)
def test_what_the_system_refuses_is_one_line_that_names_the_file(tmp_path, case, advice):
    path = _refused(tmp_path)[case]
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError) as caught:
        write_text(path, "text")
    message = str(caught.value)
    assert message.startswith(f"cannot write {path}: ")
    assert advice in message.rpartition(";")[2] and "free some space" not in message
    assert "\n" not in message
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_text(tmp_path / "a.txt", "text")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EFBIG, "ulimit"),
        (errno.EACCES, "change its permissions"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "a disk that works"),
        (errno.ENXIO, "choose another place"),
    ],
)
def test_the_advice_fits_the_reason(tmp_path, monkeypatch, number, advice):
    def refused(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(InputError) as caught:
        write_text(tmp_path / "a.txt", "new")
    assert advice in str(caught.value).rpartition(";")[2]
    assert is_full(caught.value) == (advice == "free some space")


def test_a_disk_that_fills_when_the_bytes_are_flushed(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; free some space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


WRITE_PAST_THE_LIMIT = """
import resource, signal, sys
import numpy as np
from lenet_xp.errors import InputError
from lenet_xp.system.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with atomic_write(sys.argv[1]) as handle:
        np.savez(handle, weight=np.ones(100_000))
except InputError as error:
    print(error)
    sys.exit(2)
"""


def test_a_real_write_that_hits_a_limit_halfway(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    ran = subprocess.run(
        [sys.executable, "-c", WRITE_PAST_THE_LIMIT, path], capture_output=True, text=True
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout.startswith(f"cannot write {path}: ")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_make_folder_creates_parents_and_accepts_what_is_there(tmp_path):
    folder = make_folder(tmp_path / "a" / "b")
    assert make_folder(folder) == folder
    assert folder.is_dir()


def test_make_folder_refuses_the_name_of_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file: "):
        make_folder(tmp_path / "file")


def test_json_keeps_order_glyphs_and_numpy_values(tmp_path):
    path = tmp_path / "a.json"
    value = {
        "letter": "ⵣ",
        "accuracy": np.float32(0.5),
        "counts": np.arange(3),
        "path": Path("runs") / "one",
        "sizes": (np.int64(6), 16),
    }
    write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert "ⵣ" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "letter": "ⵣ",
        "accuracy": 0.5,
        "counts": [0, 1, 2],
        "path": os.path.join("runs", "one"),
        "sizes": [6, 16],
    }
    assert list(json.loads(text)) == list(value)


def test_json_of_a_diverged_run_is_still_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"loss": [1.0, float("nan"), np.float32("inf")], "all": np.array([-np.inf])})
    assert json.loads(path.read_text()) == {"loss": [1.0, None, None], "all": [None]}


def test_json_refuses_what_it_cannot_hold_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_json(path, {"model": object()})
    assert path.read_text() == "old"


def test_csv_quotes_what_needs_it_and_ends_lines_alike_everywhere(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ("name", "share"), [("a,b", 0.5), ("ⵣ", 1)])
    assert path.read_bytes().decode("utf-8") == 'name,share\n"a,b",0.5\nⵣ,1\n'
