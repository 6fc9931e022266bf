"""Limits of sources at their real size, with files that only seem to be so large.

A list of members of 32 MiB is read and a longer one is not; a folder may hold a million entries.
"""

import struct
from itertools import repeat

import pytest

from lenet_xp.data import folder as folders
from lenet_xp.data.sources import load_dataset
from lenet_xp.errors import InputError


@pytest.mark.parametrize(
    ("size", "word"), [(32 * 2**20, "Bad magic number"), (32 * 2**20 + 1, "over 33,554,432 bytes")]
)
def test_a_list_of_members_has_at_most_32_mebibytes(tmp_path, size, word):
    """A file with a hole for the list: what is not refused for its length is read, and no list."""
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(InputError, match=word):
        load_dataset(path, cache=False, progress=False)


def test_a_folder_holds_at_most_a_million_entries(tmp_path, monkeypatch):
    def entries(count):
        monkeypatch.setattr(folders, "_entries", lambda _: repeat(folders.Entry("a.png"), count))
        return sum(1 for _ in folders.scan(tmp_path))

    assert entries(1_000_000) == 1_000_000
    with pytest.raises(InputError, match="holds over 1,000,000 files; give less"):
        entries(1_000_001)
