"""The page as files: what `lenet-xp site` writes and the demo's server has beside it."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.export import describe
from lenet_xp.letters.handwriting import POINTS, interpolation
from lenet_xp.letters.strokes import SHAPES, Stroke
from lenet_xp.model_file import SavedModel
from lenet_xp.system.files import atomic_write, make_folder

WORKER = "worker.js"  # keeps the other files for when there is no network


def site_files(saved: SavedModel, photos: bool) -> dict[str, bytes]:
    """All files of the page by their names, the model's among them.

    photos: whether a server beside the page reads photos; else the page is kept by the browser,
    under a version that follows from the content of its files.
    """
    page = files(__package__).joinpath("page").iterdir()
    site = {each.name: each.read_bytes() for each in page}
    model = {name: json.loads(text) for name, text in describe(saved).items()}
    known = {name: template(name) for name in saved.class_names if name in SHAPES}
    model |= {"templates": known, "photos": photos}
    site["model.json"] = json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode()
    parameters = saved.model.parameters().values()
    site["model.bin"] = b"".join(
        saved.model.ops.to_host(each.value).astype("<f4").tobytes() for each in parameters
    )
    worker = site.pop(WORKER)
    if not photos:
        names = sorted(site)
        version = hashlib.sha256(worker + b"".join(site[name] for name in names)).hexdigest()[:16]
        known_here = f"const VERSION = {json.dumps(version)}, FILES = {json.dumps(names)};\n"
        site[WORKER] = known_here.encode() + worker
    return site


def write_site(saved: SavedModel, out: Path) -> int:
    """Write the page, which needs no server of ours, and return its size in bytes.

    InputError for a folder that holds anything but an earlier site.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / WORKER).is_file():
        raise InputError(f"{out}: holds other files; give a new folder")
    made = site_files(saved, photos=False)
    for name, content in made.items():  # the worker last: it tells of the others
        with atomic_write(make_folder(out) / name) as file:
            file.write(content)
    return sum(map(len, made.values()))


def template(name: str) -> list[list[list[float]]]:
    """A letter's usual strokes without a hand's chance: [x, y] in fractions of AMHCD's frame."""
    shape = SHAPES[name]
    usual = max(shape.allographs, key=lambda each: each.share)
    frame = np.array([0.0, shape.top]), np.array([1.0, 1.0 - shape.top])
    return [(frame[0] + _path(each) * frame[1]).round(3).tolist() for each in usual.strokes]


def _path(stroke: Stroke) -> np.ndarray:
    """The middle of a stroke's spans: corners, or (POINTS, 2) of what is round."""
    middle = stroke.points.mean(-1)
    if stroke.kind == "ring":
        angle = np.linspace(-0.5 * np.pi, 1.5 * np.pi, POINTS)
        return np.asarray(middle[0] + np.stack([np.cos(angle), np.sin(angle)], 1) * middle[1])
    return np.asarray(interpolation(stroke)[1] @ middle) if stroke.kind == "curve" else middle
