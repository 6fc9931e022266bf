"""Every data source behind one function: a table says how each is recognised and read."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.data import stream
from lenet_xp.data.archive import load_archive
from lenet_xp.data.arrays import load_arrays
from lenet_xp.data.cache import cache_path, read_cache, write_cache
from lenet_xp.data.class_folders import load_class_folders
from lenet_xp.data.dataset import Dataset, Request
from lenet_xp.data.folder import Folder
from lenet_xp.data.label_table import TABLES, Table
from lenet_xp.errors import InputError
from lenet_xp.letters import print as printed
from lenet_xp.letters import synthetic
from lenet_xp.letters.alphabet import letters
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.text import reason_of

HANDLE = "benaddym/amazigh-handwritten-character-database-amhcd"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
CITATION = "Es Saady et al., IJCA 27(4), 2011"
TERMS = (
    f"{CITATION}: available for research and academic use; this project passes on no image of it"
)


def load_dataset(
    source: str | Path = "synthetic",
    preprocessing: Preprocessing | None = None,
    *,
    columns: str | None = None,
    samples_per_class: int = 400,
    seed: int = 0,
    skip_bad: bool = False,
    cache: bool = True,
    progress: bool = True,
) -> Dataset:
    """The data set of a source, preprocessed: images (N, S, S) uint8, ink 255 on paper 0.

    source: what a row of SOURCES matches.
    columns: names of a table's columns of files and labels, as "FILE,LABEL".
    samples_per_class, seed: of the generated letters; other sources ignore them.
    skip_bad: list unreadable image files in `skipped` instead of raising InputError.
    cache: keep what was read from files in the user's cache folder, and look there first.
    progress: report on standard error.
    A source that cannot be used raises InputError.
    """
    kind, path = _kind(source), Path(os.path.expanduser(source))
    whole = Path(os.path.abspath(path))  # "." has a name, too
    name = whole.stem if whole.is_file() else whole.name
    preprocessing = preprocessing or Preprocessing(framing=kind.framing)
    path = kind.locate() if kind.locate else path
    if columns and kind.words != _TABLE:
        raise InputError(f"{path}: is no table of labels; leave out --columns")
    how = samples_per_class, seed, skip_bad, progress, columns
    request = Request(path, name, preprocessing, *how)
    if not cache or kind.fingerprint is None:
        return kind.read(request)
    content = kind.fingerprint(request)
    kept = cache_path(content, preprocessing, skip_bad)
    dataset = read_cache(kept)
    if dataset is None:
        dataset = kind.read(request)
        if kind.fingerprint(request) == content:  # else it was changed while it was read
            write_cache(kept, dataset)
    return replace(dataset, name=name)


def load_stream(source: str | Path, request: Request) -> Dataset:
    """A data set whose training images are made anew in each epoch, a block at a time.

    InputError for sources other than generated letters, folders and tables of labels.
    """
    kind, path = _kind(source), Path(os.path.expanduser(source))
    if source in GENERATORS:
        return stream.generated(GENERATORS[source], request)
    path = kind.locate() if kind.locate else path
    if kind.read is not _FILES["read"]:
        raise InputError(f"{path}: cannot be streamed; give a folder, a table or synthetic")
    return stream.files(_opened(replace(request, path=path)), request)


def framing_of(source: str | Path) -> str:
    """How the pictures of a source are framed for a network that learns from them."""
    return _kind(source).framing


def _kind(source: str | Path) -> "Source":
    """The row of SOURCES that a source matches; InputError without one."""
    if found := next((each for each in SOURCES if each.matches(source)), None):
        return found
    path = Path(os.path.expanduser(source))
    problem = "is no data set" if path.exists() else "there is no such file or folder"
    raise InputError(f"{path}: {problem}; give {accepted_sources()}")


@dataclass(frozen=True)
class Source:
    """A kind of data source: a row of the table SOURCES."""

    words: str  # what a user gives, for --help and for errors
    matches: Callable[[str | Path], object]  # whether the value of --data is of this kind
    read: Callable[[Request], Dataset]  # raises InputError for what cannot be used
    # The kind and a hash of the content, for the cache; without it nothing is kept there.
    fingerprint: Callable[[Request], str] | None = None
    locate: Callable[[], Path] | None = None  # gives the path to read where the value is no path
    framing: str = "cut"  # or "keep": its pictures are framed already, as digits in MNIST


def accepted_sources() -> str:
    """What a user may give as a source, in words."""
    *words, last = (each.words for each in SOURCES)
    return f"{', '.join(words)} or {last}"


def load_generated(request: Request) -> Dataset:
    """Letters drawn as AMHCD's files are, 64x64 and dark on light."""
    class_names, samples = tuple(each.name for each in letters()), request.samples_per_class
    # Bold print covers most of its picture and would pass for light ink.
    finish = replace(request.preprocessing, polarity="dark-on-light").apply_all
    with progress_bar(len(class_names) * samples, request.name, request.progress) as advance:
        images, labels = GENERATORS[request.name](samples, request.seed, advance, finish)
    files = (f"{class_names[label]}#{i} of seed {request.seed}" for i, label in enumerate(labels))
    return Dataset(request.name, images, labels, class_names, tuple(files))


def download_amhcd() -> Path:
    """The folder of AMHCD, downloaded at first; InputError without kagglehub or a network."""
    try:
        import kagglehub
    except ImportError as error:
        how = f"pip install kagglehub, or download the zip from {PAGE} and give its path instead"
        raise InputError(f"amhcd: kagglehub is not installed: {how}") from error
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network, the server or the disk comes up with
        how = f"download the zip from {PAGE} in a browser and give its path instead"
        raise InputError(f"amhcd: the download failed ({reason_of(error)}); {how}") from error


def _is_file(suffix: str | tuple[str, ...], source: str | Path) -> bool:
    path = os.path.expanduser(source)
    return os.path.isfile(path) and path.lower().endswith(suffix)


def _opened(request: Request) -> Folder:
    """The folder of a request, or its table of labels."""
    path, progress = request.path, request.progress
    return Table(path, progress, request.columns) if path.is_file() else Folder(path, progress)


def _file_fingerprint(request: Request) -> str:
    """Suffix and hash of a file: a copy of it matches, a changed file does not."""
    try:
        with request.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{request.path}: cannot be read ({error.strerror})") from error
    return f"{request.path.suffix.lower()} {digest}"


GENERATORS: dict[str | Path, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "synthetic": synthetic.generate,
    "print": printed.generate,
}

_TABLE = "a .csv of files and labels"
_FILES: dict[str, Any] = {
    "read": lambda request: load_class_folders(_opened(request), request),
    "fingerprint": lambda request: _opened(request).fingerprint(),
}
# The first row that matches is taken. A new source needs its reader and a row here.
SOURCES = (
    Source(
        "'synthetic' (generated letters), 'print' (generated print)",
        GENERATORS.__contains__,
        load_generated,
    ),
    Source(
        "'amhcd' (fetched from Kaggle)", ["amhcd"].__contains__, locate=download_amhcd, **_FILES
    ),
    Source("a folder of class folders", lambda at: os.path.isdir(os.path.expanduser(at)), **_FILES),
    Source("a .zip of class folders", partial(_is_file, ".zip"), load_archive, _file_fingerprint),
    Source(_TABLE, partial(_is_file, TABLES), **_FILES),
    Source("a .npz", partial(_is_file, ".npz"), load_arrays, _file_fingerprint, framing="keep"),
)
