"""The page as files: what `lenet-xp site` writes and the demo's server has beside it."""

import hashlib
import json
from importlib.resources import files

import numpy as np

from lenet_xp.export import describe
from lenet_xp.letters.strokes import SHAPES
from lenet_xp.model_file import SavedModel

VERSION = b'const VERSION = "'  # with which a site's worker begins
# In its place where a server is: a site that stood at this address before would hide the page.
FORGETFUL = b"""self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.registration.unregister()
  .then(() => self.clients.matchAll())
  .then((all) => all.forEach((each) => each.navigate(each.url)))));
"""
WORKER = "worker.js"  # keeps the other files for when there is no network


def site_files(saved: SavedModel, photos: bool) -> dict[str, bytes]:
    """All files of the page by name. photos: whether a server beside it reads photos.

    Without one the browser keeps the page, under a version that follows from its files' content.
    """
    page = files(__package__).joinpath("page").iterdir()
    site = {each.name: each.read_bytes() for each in page}
    model = {name: json.loads(text) for name, text in describe(saved).items()}
    model["templates"] = {name: template(name) for name in saved.class_names if name in SHAPES}
    text = json.dumps(model | {"photos": photos}, ensure_ascii=False, separators=(",", ":"))
    values = [saved.model.ops.to_host(each.value) for each in saved.model.parameters().values()]
    site["model.json"] = text.encode()
    site["model.bin"] = b"".join(each.astype("<f4").tobytes() for each in values)
    worker = site.pop(WORKER)
    if photos:
        site[WORKER] = FORGETFUL
    else:
        names = sorted(site)
        version = hashlib.sha256(worker + b"".join(site[name] for name in names)).hexdigest()[:16]
        known = f'{version}", FILES = {json.dumps(names)};\n'
        site[WORKER] = VERSION + known.encode() + worker
    return site


def template(name: str) -> list[tuple[str, list[list[float]]]]:
    """The strokes, kind and points, of a letter's usual build in fractions of its frame, y down."""
    shape = SHAPES[name]
    usual = max(shape.allographs, key=lambda each: each.share)
    place = np.array([0, shape.top]), np.array([1, 1 - shape.top])
    return [(e.kind, (place[0] + e.points.mean(-1) * place[1]).tolist()) for e in usual.strokes]
