"""Every data source behind one function."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from lenet_xp.data.archive import Archive
from lenet_xp.data.cache import cache_path, read_cache, write_cache
from lenet_xp.data.class_folders import Folder, load_tree
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.npz import load_npz
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.progress import progress_bar

ACCEPTED = (
    "give 'synthetic', 'amhcd' (downloads it from Kaggle), a .zip or folder of class folders, "
    "or a .npz in Keras' layout"
)


def load_dataset(
    source: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    samples_per_class: int = 400,
    seed: int = 0,
    skip_bad: bool = False,
    cache: bool = True,
    progress: bool = True,
) -> Dataset:
    """The data set of a source, preprocessed: images (N, S, S) uint8, ink 255 on paper 0.

    source: None or "synthetic" for generated letters, "amhcd", or the path of a .zip archive or
        a folder of class folders, or of a .npz file in Keras' layout.
    samples_per_class, seed: of the generated letters; other sources ignore them.
    skip_bad: list unreadable image files in `skipped` instead of raising InputError.
    cache: keep what was read from files in the user's cache folder, and look there first.
    progress: report on standard error.
    A source that cannot be used raises InputError.
    """
    preprocessing = preprocessing or Preprocessing()
    if source is None or source == "synthetic":
        return _synthetic(preprocessing, samples_per_class, seed, progress)
    if source == "amhcd":
        return _from_path(download_amhcd(), "amhcd", preprocessing, skip_bad, cache, progress)
    path = Path(os.path.expanduser(source))
    whole = Path(os.path.abspath(path))  # "." has a name, too
    name = whole.stem if whole.is_file() else whole.name
    return _from_path(path, name, preprocessing, skip_bad, cache, progress)


def _from_path(
    path: Path, name: str, preprocessing: Preprocessing, skip_bad: bool, cache: bool, progress: bool
) -> Dataset:
    """A source on disk, out of the cache where its content is known there."""
    if path.is_dir():
        kind = "folder"
    elif path.is_file() and path.suffix.lower() in (".zip", ".npz"):
        kind = path.suffix.lower()
    elif path.exists():
        raise InputError(f"{path}: is no data set; {ACCEPTED}")
    else:
        raise InputError(f"{path}: there is no such file or folder; {ACCEPTED}")
    if not cache:
        return _read(path, kind, name, preprocessing, skip_bad, progress)
    identity = Folder(path, progress).fingerprint() if kind == "folder" else _digest(path)
    kept = cache_path(f"{kind} {identity}", preprocessing, skip_bad)
    dataset = read_cache(kept)
    if dataset is None:
        dataset = _read(path, kind, name, preprocessing, skip_bad, progress)
        write_cache(kept, dataset)
    return replace(dataset, name=name)


def _read(
    path: Path, kind: str, name: str, preprocessing: Preprocessing, skip_bad: bool, progress: bool
) -> Dataset:
    if kind == ".npz":
        return load_npz(path, name, preprocessing, progress=progress)
    with Folder(path, progress) if kind == "folder" else Archive(path) as source:
        tree, read, size = source.tree(), source.read, source.size
        return load_tree(
            name, tree, read, size, preprocessing, skip_bad=skip_bad, progress=progress
        )


def _digest(path: Path) -> str:
    """A hash of a file's content: a copy of it is known again, a changed one is not."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _synthetic(
    preprocessing: Preprocessing, samples_per_class: int, seed: int, progress: bool
) -> Dataset:
    """Generated letters; `generate` gives them as AMHCD's files are, 64x64 and dark on light."""
    if samples_per_class < 1 or seed < 0:
        raise InputError(
            f"synthetic: {samples_per_class} samples per class with seed {seed} cannot be made; "
            "give at least 1 sample and a seed from 0"
        )
    class_names = tuple(letter.name for letter in letters())
    with progress_bar(len(class_names) * samples_per_class, "synthetic", progress) as advance:
        images, labels = generate(samples_per_class, seed, advance, preprocessing.apply_all)
    return Dataset("synthetic", images, labels, class_names)


HANDLE = "benaddym/amazigh-handwritten-character-database-amhcd"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
SOURCE = "Es Saady et al., IJCA 27(4), 2011"
TERMS = f"{SOURCE}: available for research and academic use; this project passes on no image of it"


def download_amhcd() -> Path:
    """The folder AMHCD is unpacked in, downloaded on the first call (no Kaggle account needed).

    Without kagglehub or without a network it raises InputError.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise InputError(
            "amhcd: kagglehub is not installed: pip install 'lenet-xp[amhcd]', "
            f"or download the zip from {PAGE} and give its path instead"
        ) from error
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network, the server or the disk comes up with
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"amhcd: the download failed ({reason}); "
            f"download the zip from {PAGE} in a browser and give its path instead"
        ) from error
