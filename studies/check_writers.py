"""Check the table of AMHCD's writers against the ink: docs/writers.md explains the columns.

    python studies/check_writers.py --data amhcd_64.zip

Borders between writers are looked for where the ink changes, and the writer of each block among
all 60, by the letters around it. Takes about a minute; prints text, writes nothing.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from lenet_xp.commands.terminal import run
from lenet_xp.data.archive import Archive
from lenet_xp.data.class_folders import Folder
from lenet_xp.data.writers import IMAGES, SAMPLES, WRITERS, writer_table
from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import decode
from lenet_xp.system.opencv import cv2
from lenet_xp.system.text import text_table

# The letters as the alphabet is taught: people changed pens between letters that stand together.
ALPHABET = [
    *("ya", "yab", "yag", "yagw", "yad", "yadd", "yey", "yaf", "yak", "yakw", "yah", "yahh"),
    *("yae", "yax", "yaq", "yi", "yaj", "yal", "yam", "yan", "yu", "yar", "yarr", "yagh", "yas"),
    *("yass", "yach", "yat", "yatt", "yaw", "yay", "yaz", "yazz"),
]
SIDE = 64
NEIGHBOURS = 6
FAR, MISPLACED = 35.0, 5  # a block this far from its writer, with so many nearer, is told
SLACK = 2  # files by which a block may be longer or shorter when borders are searched


def traits(jpeg: bytes, name: str) -> list[float]:
    """What one file tells of pen, paper and scan: ink colour, darkness, pen width, paper, size."""
    if decode(jpeg, name).shape[:2] != (SIDE, SIDE):
        raise InputError(f"{name}: is not {SIDE}x{SIDE} pixels; give AMHCD as published")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).reshape(-1, 3)
    grey = picture.mean(axis=1)
    order = np.argsort(grey)
    blue, green, red = picture[order[:400]].mean(axis=0)
    ink = grey < (grey.min() + grey.max()) / 2
    depth = cv2.distanceTransform(ink.reshape(SIDE, SIDE).astype(np.uint8), cv2.DIST_L2, 5)
    ridge = depth[(depth == cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (depth > 0)]
    darkness = (grey.min(), np.percentile(grey, 5), grey[ink].mean())
    form = (ink.mean(), ridge.mean(), grey[~ink].mean(), len(jpeg))
    return [blue, green, red, blue - green, green - red, *darkness, *form]


def read_traits(path: Path) -> dict[str, np.ndarray]:
    """Each letter's traits (780, K) by file number, ranked within the letter: glyphs differ."""
    found = {name: {} for name in writer_table()}
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


def _ranks(table):
    """Columns as evenly spread ranks from -1 to 1."""
    return table.argsort(axis=0).argsort(axis=0) / (len(table) - 1) * 2 - 1


def steps(values, borders):
    """Mean change of the traits from one file to the next: across the borders, and elsewhere."""
    change = np.abs(np.diff(values, axis=0)).mean(axis=1)
    border = np.isin(np.arange(1, IMAGES), borders)
    return change[border].mean(), change[~border].mean()


def found_borders(values):
    """The 59 borders that leave the least spread within 60 blocks of 11 to 15 files."""
    sums = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)])
    squares = np.concatenate([[0.0], (values**2).sum(axis=1).cumsum()])
    cost = np.full((WRITERS + 1, IMAGES + 1), np.inf)
    back = np.zeros(cost.shape, np.int64)
    cost[0, 0] = 0.0
    penalty = np.median((np.diff(values, axis=0) ** 2).sum(axis=1))  # of a file more or fewer
    for block in range(1, WRITERS + 1):
        for length in range(SAMPLES - SLACK, SAMPLES + SLACK + 1):
            end = np.arange(length, IMAGES + 1)
            start = end - length
            spread = squares[end] - squares[start]
            spread -= ((sums[end] - sums[start]) ** 2).sum(axis=1) / length
            total = cost[block - 1, start] + spread + penalty * abs(length - SAMPLES)
            better = total < cost[block, end]
            cost[block, end[better]], back[block, end[better]] = total[better], start[better]
    borders, end = [], IMAGES
    for block in range(WRITERS, 1, -1):
        end = back[block, end]
        borders.append(end)
    return np.array(borders[::-1])


def by_writer(values, writers):
    """(60, 2K): the median traits of each writer's samples 1 and 6-10, then of the others.

    Two writers changed pens after those samples, which were numbered as text (1, 10, ... 13, 2).
    """
    first = np.isin(np.arange(SAMPLES), (0, 5, 6, 7, 8, 9))
    rows = []
    for writer in range(WRITERS):
        own = values[writers == writer][:SAMPLES]
        parts = first[: len(own)], ~first[: len(own)]
        rows.append(np.concatenate([np.median(own[part], axis=0) for part in parts]))
    return np.array(rows)


def distances(name, profiles, spread):
    """(60, 60): how far the block given to a writer is from each writer in the letters around."""
    others = [n for n in ALPHABET if writer_table()[n].certain and n != name]
    others.sort(key=lambda other: abs(ALPHABET.index(other) - ALPHABET.index(name)))
    around = np.array([profiles[other] for other in others[:NEIGHBOURS]])
    nearest = np.full((WRITERS, WRITERS), np.inf)
    for candidate in [np.median(around, axis=0), *around]:
        gaps = profiles[name][:, None] - candidate[None]
        nearest = np.minimum(nearest, np.einsum("ijk,kl,ijl->ij", gaps, spread, gaps))
    return nearest


def report(path: Path) -> str:
    """The table that is printed, one line a letter, and what is in doubt below it."""
    table, values = writer_table(), read_traits(path)
    profiles = {name: by_writer(values[name], table[name].writers) for name in table}
    typical = np.median([profiles[name] for name in table if table[name].certain], axis=0)
    gaps = np.concatenate([profiles[name] - typical for name in table])
    spread = np.linalg.inv(np.cov(gaps.T) + 0.01 * np.eye(gaps.shape[1]))
    header = ("letter", "step", "within", "moved", "as listed", "by number", "nearest", "of 3")
    rows, far = [], []
    for name, each in table.items():
        # A writer's files beside one another: the file order itself, but for yan.
        order = np.arange(IMAGES)
        if (np.diff(each.writers) != 0).sum() > 2 * WRITERS:
            order = np.argsort(each.writers, kind="stable")
        listed = each.writers[order]
        known = np.flatnonzero(np.diff(listed)) + 1
        moved = np.setdiff1d(found_borders(values[name][order]), known)
        plain = by_writer(values[name], np.arange(IMAGES) // SAMPLES)
        agree = [np.corrcoef(each[:, 0], typical[:, 0])[0, 1] for each in (profiles[name], plain)]
        gap = distances(name, profiles, spread)
        own = np.diag(gap)
        rank = (gap < own[:, None]).sum(axis=1)
        across, within = steps(values[name][order], known)
        figures = (f"{across:.2f}", f"{within:.2f}", str(len(moved)), *(f"{a:.2f}" for a in agree))
        rows.append((name, *figures, f"{(rank == 0).mean():.0%}", f"{(rank < 3).mean():.0%}"))
        strange = np.flatnonzero((own > FAR) & (rank >= MISPLACED))
        far += [f"{name}: {' '.join(map(str, strange))}"] if len(strange) else []
    return text_table(header, rows, left=(0,)) + "\nunlike their writer: " + "; ".join(far)


def main(arguments: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="the AMHCD zip or folder")
    print(report(p.parse_args(arguments).data))


if __name__ == "__main__":
    sys.exit(run(main))
