"""The account of a source: which of its files were left out, and why."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.splits import Overlap, Split
from lenet_xp.pictures.kinds import kind_of, named_image

LeftOut = tuple[str, str]  # the path of a file in its source, and why it is left out

MAX_TOLD = 300  # characters: of a path in a line, for one in an archive may have 65,535 bytes
ASIDE = ""  # the reason for a file that a system has left: it is no loss, and no line tells it
NO_IMAGE = "is no image"
DOTTED = "has a name or a folder that begins with a dot; rename it to have it read"
_SYSTEMS_NAME = "has a name that systems give to other files; rename it to have it read"

# Names of files and folders that systems, networks, clouds and editors leave. Case is ignored.
_SYSTEMS = re.compile(
    r"\._.*|__macosx|icon\r|\.(ds_store|localized|apdisk|appledouble|fseventsd|spotlight-v100)|"
    r"(thumbs|ehthumbs|ehthumbs_vista)\.db|desktop\.ini|\$recycle\.bin|system volume information|"
    r"lost\+found|\.(directory|nomedia|thumbnails|trash|trashes|trash-\d+|temporaryitems)|~\$.*|"
    r"@eadir|[@#]recycle|#snapshot|\.snapshot|\.?picasa\.ini|\.dropbox(\.cache)?|\.stfolder|"
    r"\.git(ignore|attributes|keep|modules)?|\.hg|\.svn|\.dvc(ignore)?|\.idea|\.vscode|"
    r"\.ipynb_checkpoints|__pycache__|\.(nfs|fuse_hidden)[0-9a-f]+|\.~lock\..*#",
    re.IGNORECASE | re.DOTALL,
)


def is_aside(path: str) -> bool:
    """Whether a path leads into what systems leave in folders: .DS_Store, ._name, __MACOSX."""
    return any(map(_SYSTEMS.fullmatch, path.split("/")))


def is_dotted(path: str) -> bool:
    """Whether a file or one of its folders has a name that begins with a dot."""
    return "/." in f"/{path}"


def why_left_out(path: str, start: Callable[[], bytes]) -> str | None:
    """Why a file is left out; None for an image, ASIDE for what systems leave.

    start: gives the file's first bytes; it is called only where its name does not decide.
    """
    folder, _, name = path.rpartition("/")
    if folder and is_aside(folder):
        return ASIDE
    if is_aside(name):
        return _SYSTEMS_NAME if kind_of(start()) else ASIDE
    if is_dotted(path):
        return DOTTED
    if named_image(name):
        return None
    kind = kind_of(start())
    return None if kind not in (None, "ico") else "is an icon" if kind else NO_IMAGE


def told(left_out: Sequence[LeftOut], taken: int) -> str:
    """One line: how many files were left out of all, and the first of them with its reason."""
    path, why = left_out[0]
    total = len(left_out) + taken
    files = f"{len(left_out):,} of {total:,} file{'s' * (total > 1)}"
    return f"left out {files}: {path[:MAX_TOLD]}: {why[:MAX_TOLD]}"


def remarks_on(coloured: Sequence[str], several_pages: Sequence[str]) -> tuple[str, ...]:
    """Lines on pictures of which not all is read, by their names; none where there are none."""
    lines = []
    if coloured:
        which = f"as those of {coloured[0][:MAX_TOLD]}; channels = 3 in a recipe keeps them"
        lines.append(f"colours are read as grey levels, {which}")
    if several_pages:
        files = f"{len(several_pages):,} file{'s' * (len(several_pages) > 1)} of several"
        lines.append(f"only the first page is read of {files}: {several_pages[0][:MAX_TOLD]}")
    return tuple(lines)


def account_lines(dataset: Dataset) -> list[str]:
    """What a user is told of a data set: unreadable images, other files, pictures without ink."""
    lines = [f"skipped {file}: {reason}" for file, reason in dataset.skipped]
    if dataset.left_out:
        lines.append(told(dataset.left_out, len(dataset) + len(dataset.skipped)))
    lines += dataset.remarks
    if blank := dataset.blank:
        count = f"{len(blank):,} of {len(dataset):,}"
        lines.append(f"no ink in {count} pictures, which stay in the data: {blank[0]}")
    return lines


def split_lines(dataset: Dataset, split: Split, overlap: Overlap) -> list[str]:
    """What a user is told of a split: images that stand on two sides, too few images for sides."""
    lines = []
    if overlap:
        shared = (
            f"split {split.name}: {overlap.train_test:,} training and {overlap.val_test:,} "
            f"validation images are identical to test images, {overlap.train_val:,} training to "
            "validation images"
        )
        kept = f"{overlap.dropped:,} left out" if overlap.dropped else "all kept"
        lines.append(f"{shared}; {kept}")
    if split.folds is not None:
        judged = np.unique(dataset.labels[split.test])
        unjudged = [name for i, name in enumerate(dataset.class_names) if i not in judged]
        none = f"; nobody can judge {', '.join(unjudged)}, of one image or its copies"
        lines.append(
            "few images: all of them train, and networks that never saw them judge "
            f"{len(split.test)} of {len(dataset)}{none * bool(unjudged)}"
        )
    return lines
