"""A zip file opened without trust in the length of its list of members."""

import io
import os
import zipfile


class BoundedFile(io.FileIO):
    """A file to open a zip in, of which no more than `most` bytes can be asked for at once.

    Python reads the list of members in one go and makes ten times as much of it.
    """

    def __init__(self, path: str | os.PathLike[str], most: int):
        super().__init__(path)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise zipfile.BadZipFile(f"its list of members is over {self._most:,} bytes")
        return super().read(size)
