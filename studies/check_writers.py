"""Check the table of AMHCD's writers against the ink; docs/writers.md explains the columns.

Looks for the borders between writers where the ink changes, and for the writer of each block among
all 60, by the letters taught next to it. Takes about a minute; prints text and writes nothing.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import parser, run
from lenet_xp.data.archive import Archive
from lenet_xp.data.folder import Folder
from lenet_xp.data.writers import IMAGES, SAMPLES, WRITERS, writer_table
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.system.opencv import cv2
from lenet_xp.system.text import text_table

EXAMPLES = """\
  python -m studies.check_writers --data amhcd_64.zip
      a line for each letter"""

# The order in which the alphabet is taught, and was written: pens change between neighbours.
ALPHABET = [
    *("ya", "yab", "yag", "yagw", "yad", "yadd", "yey", "yaf", "yak", "yakw", "yah", "yahh"),
    *("yae", "yax", "yaq", "yi", "yaj", "yal", "yam", "yan", "yu", "yar", "yarr", "yagh", "yas"),
    *("yass", "yach", "yat", "yatt", "yaw", "yay", "yaz", "yazz"),
]
SIDE = 64  # pixels: the side of AMHCD's images
NEIGHBOURS = 6  # letters: profiles of so many are compared with a letter's own
MAX_DISTANCE = 35.0  # squared standard deviations: a block farther from its writer may be listed
MIN_NEARER = 5  # writers: a far block is listed if at least so many are nearer
SLACK = 2  # files: by which a block may be longer or shorter in the search for borders
DARKEST = 400  # pixels: whose mean is the ink's colour
RIDGE = 0.01  # variance added to each trait, so that their covariance has an inverse


def traits(jpeg: bytes, name: str) -> list[float]:
    """Return the traits of one file that depend on pen, paper and scan.

    They are the ink's colour (5 values), its darkness (3), its share of the image, the pen's width,
    the paper's grey level and the file's size in bytes.
    """
    if ImageFile(jpeg, name).page().shape[:2] != (SIDE, SIDE):
        raise InputError(f"{name}: is not {SIDE}x{SIDE} pixels; give AMHCD as published")
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    picture = np.asarray(decoded).reshape(-1, 3)
    grey = picture.mean(axis=1)
    order = np.argsort(grey)
    blue, green, red = picture[order[:DARKEST]].mean(axis=0)
    ink = grey < (grey.min() + grey.max()) / 2
    depth = cv2.distanceTransform(ink.reshape(SIDE, SIDE).astype(np.uint8), cv2.DIST_L2, 5)
    ridge = depth[(depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth > 0)]
    darkness = (grey.min(), np.percentile(grey, 5), grey[ink].mean())
    form = (ink.mean(), ridge.mean(), grey[~ink].mean(), len(jpeg))
    return [blue, green, red, blue - green, green - red, *darkness, *form]


def read_traits(path: Path) -> dict[str, np.ndarray]:
    """Return the traits (780, K) of each letter's files in their order.

    They are ranked within the letter, for glyphs differ. Raises InputError unless all files of
    AMHCD are there.
    """
    found: dict[str, dict[int, list[float]]] = {name: {} for name in writer_table()}
    with nullcontext(Folder(path)) if path.is_dir() else Archive(path) as source:
        tree = source.tree()
        for file, member in zip(tree.files, tree.paths, strict=True):
            name, number = file.split("/")[0], file.rsplit("_", 1)[-1].split(".")[0]
            if name in found and number.isascii() and number.isdigit() and len(number) < 5:
                found[name][int(number)] = traits(source.read(member), member)
    if any(sorted(each) != list(range(1, IMAGES + 1)) for each in found.values()):
        raise InputError(f"{path}: is not AMHCD as published; give its zip")
    tables = {name: np.array([each[n] for n in sorted(each)]) for name, each in found.items()}
    return {name: _ranks(each) for name, each in tables.items()}


def _ranks(table: np.ndarray) -> np.ndarray:
    """Each column's ranks, evenly spread from -1 to 1."""
    ranks: np.ndarray = table.argsort(axis=0).argsort(axis=0) / (len(table) - 1) * 2 - 1
    return ranks


def steps(values: np.ndarray, borders: np.ndarray) -> tuple[float, float]:
    """Return the mean change of traits (780, K) from a file to the next: at borders, elsewhere."""
    change = np.abs(np.diff(values, axis=0)).mean(axis=1)
    border = np.isin(np.arange(1, IMAGES), borders)
    return float(change[border].mean()), float(change[~border].mean())


def found_borders(values: np.ndarray) -> np.ndarray:
    """Return the 59 borders that leave the least spread within 60 blocks of 11 to 15 files."""
    sums = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)])
    squares = np.concatenate([[0.0], (values**2).sum(axis=1).cumsum()])
    cost = np.full((WRITERS + 1, IMAGES + 1), np.inf)
    back = np.zeros(cost.shape, np.int64)
    cost[0, 0] = 0.0
    penalty = np.median((np.diff(values, axis=0) ** 2).sum(axis=1))  # of one file more or fewer
    for block in range(1, WRITERS + 1):
        for length in range(SAMPLES - SLACK, SAMPLES + SLACK + 1):
            end = np.arange(length, IMAGES + 1)
            start = end - length
            spread = squares[end] - squares[start]
            spread -= ((sums[end] - sums[start]) ** 2).sum(axis=1) / length
            total = cost[block - 1, start] + spread + penalty * abs(length - SAMPLES)
            better = total < cost[block, end]
            cost[block, end[better]], back[block, end[better]] = total[better], start[better]
    borders = [IMAGES]
    for block in range(WRITERS, 1, -1):
        borders.append(int(back[block, borders[-1]]))
    return np.array(borders[:0:-1])


def by_writer(values: np.ndarray, writers: np.ndarray) -> np.ndarray:
    """Return (60, 2K): the median traits of each writer's samples 1 and 6-10, then of the others.

    Two writers changed pens after those samples, which were numbered as text (1, 10, ... 13, 2).
    """
    first = np.isin(np.arange(SAMPLES), (0, 5, 6, 7, 8, 9))
    rows = []
    for writer in range(WRITERS):
        own = values[writers == writer][:SAMPLES]
        parts = first[: len(own)], ~first[: len(own)]
        rows.append(np.concatenate([np.median(own[part], axis=0) for part in parts]))
    return np.array(rows)


def distances(name: str, profiles: dict[str, np.ndarray], inverse: np.ndarray) -> np.ndarray:
    """Return (60, 60): the distance of each writer's block to every writer in the letters around.

    profiles: letter -> result of `by_writer`. inverse: of the covariance of profiles.
    """
    others = [n for n in ALPHABET if writer_table()[n].certain and n != name]
    others.sort(key=lambda other: abs(ALPHABET.index(other) - ALPHABET.index(name)))
    around = np.array([profiles[other] for other in others[:NEIGHBOURS]])
    nearest = np.full((WRITERS, WRITERS), np.inf)
    for candidate in [np.median(around, axis=0), *around]:
        gaps = profiles[name][:, None] - candidate[None]
        nearest = np.minimum(nearest, np.einsum("ijk,kl,ijl->ij", gaps, inverse, gaps))
    return nearest


def table_of(path: Path) -> str:
    """Return the printed table, a line for each letter, and the doubtful blocks below it."""
    table, values = writer_table(), read_traits(path)
    profiles = {name: by_writer(values[name], table[name].writers) for name in table}
    typical = np.median([profiles[name] for name in table if table[name].certain], axis=0)
    gaps = np.concatenate([profiles[name] - typical for name in table])
    inverse = np.linalg.inv(np.cov(gaps.T) + RIDGE * np.eye(gaps.shape[1]))
    header = ("letter", "step", "within", "moved", "as listed", "by number", "nearest", "of 3")
    rows, far = [], []
    for name, each in table.items():
        # The file order keeps each writer's files together, except for yan.
        order = np.arange(IMAGES)
        if (np.diff(each.writers) != 0).sum() > 2 * WRITERS:
            order = np.argsort(each.writers, kind="stable")
        listed = each.writers[order]
        known = np.flatnonzero(np.diff(listed)) + 1
        moved = np.setdiff1d(found_borders(values[name][order]), known)
        plain = by_writer(values[name], np.arange(IMAGES) // SAMPLES)
        agree = [np.corrcoef(each[:, 0], typical[:, 0])[0, 1] for each in (profiles[name], plain)]
        gap = distances(name, profiles, inverse)
        own = np.diag(gap)
        rank = (gap < own[:, None]).sum(axis=1)
        across, within = steps(values[name][order], known)
        figures = (f"{across:.2f}", f"{within:.2f}", str(len(moved)), *(f"{a:.2f}" for a in agree))
        rows.append((name, *figures, f"{(rank == 0).mean():.0%}", f"{(rank < 3).mean():.0%}"))
        strange = np.flatnonzero((own > MAX_DISTANCE) & (rank >= MIN_NEARER))
        far += [f"{name}: {' '.join(map(str, strange))}"] if len(strange) else []
    return text_table(header, rows, left=(0,)) + "\nunlike their writer: " + "; ".join(far)


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.check_writers", __doc__, EXAMPLES)
    p.add_argument("--data", type=Path, required=True, help="the AMHCD zip or folder")
    print(table_of(p.parse_args(arguments).data))


if __name__ == "__main__":
    sys.exit(run(main))
