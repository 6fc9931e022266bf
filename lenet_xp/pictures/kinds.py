"""What says that a file is an image: its name, or its first bytes."""

import re

START = 512  # bytes: of a file's beginning, enough for `kind_of`

# Names of image files, whether this system can decode them or not.
SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".heic", ".heif", ".jp2", ".jxl"),
)

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)
# Two letters and "P5 12 12" may begin a text, so more of these headers is looked at.
_BMP = re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)
_PNM = re.compile(rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+(#[^\n]*\n\s*)*\d+\s")
_ICO = re.compile(rb"\0\0\x01\0[^\0]\0.{3}\0", re.DOTALL)
_HEVC = b"heic heix heim heis hevc hevx hevm hevs mif1 msf1"
_BRANDS = {"avif": [b"avif", b"avis"], "heic": _HEVC.split()}


def named_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return name.lower().endswith(SUFFIXES)


def kind_of(start: bytes) -> str | None:
    """The kind of image that begins with these bytes, such as "jpeg"; None for anything else.

    start: the first START bytes of a file, or all that it has. The rest is not looked at.
    """
    for mark, kind in _STARTS:
        if start.startswith(mark):
            return kind
    for header, kind in ((_BMP, "bmp"), (_PNM, "pnm"), (_ICO, "ico")):
        if header.match(start):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp":
        box = start[: int.from_bytes(start[:4])]
        brands = {box[place : place + 4] for place in range(8, len(box), 4)}
        return next((kind for kind, own in _BRANDS.items() if brands.intersection(own)), None)
    return None
