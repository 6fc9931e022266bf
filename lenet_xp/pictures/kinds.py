"""What says that a file is an image: its name, or its first bytes."""

import re

START = 512  # bytes: of a file's beginning, enough for `kind_of`

# Names of image files, whether this system can decode them or not.
SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".heic", ".heif", ".jp2", ".jxl"),
)

# How the files of each kind begin.
_MARKS = {
    "jpeg": rb"\xff\xd8\xff",
    "png": rb"\x89PNG\r\n\x1a\n",
    "gif": rb"GIF8[79]a",
    "tiff": rb"II[*+]\0|MM\0[*+]",  # a plus: BigTIFF
    "jp2": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "jxl": rb"\0\0\0\x0cJXL \r\n\x87\n",
    "webp": rb"RIFF.{4}WEBP",
    # Two letters and "P5 12 12" may begin a text, so more of these headers is looked at.
    "bmp": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "pnm": rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+(#[^\n]*\n\s*)*\d+\s",
    "ico": rb"\0\0\x01\0[^\0]\0.{3}\0",
}
_BRANDS = {"avif": b"avif avis", "heic": b"heic heix heim heis hevc hevx hevm hevs mif1 msf1"}


def named_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return name.lower().endswith(SUFFIXES)


def kind_of(start: bytes) -> str | None:
    """The kind of image that begins with these bytes, such as "jpeg"; None for anything else.

    start: the first START bytes of a file, or all that it has. The rest is not looked at.
    """
    for kind, mark in _MARKS.items():
        if re.match(mark, start, re.DOTALL):
            return kind
    if start[4:8] == b"ftyp":
        box = start[: int.from_bytes(start[:4])]
        brands = {box[place : place + 4] for place in range(8, len(box), 4)}
        return next((kind for kind, own in _BRANDS.items() if brands & set(own.split())), None)
    return None
