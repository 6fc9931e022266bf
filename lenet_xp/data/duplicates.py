"""Images that stand in a data set more than once, pixel for pixel."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np


def image_groups(images: np.ndarray) -> np.ndarray:
    """Which images are the same: (N,) int64, equal where two of (N, S, S) uint8 are identical.

    Groups are numbered from 0 in the order of their first image.
    """
    seen: dict[bytes, int] = {}  # by digest: the images themselves would be held twice
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    groups = (seen.setdefault(digest, len(seen)) for digest in digests)
    return np.fromiter(groups, np.int64, len(images))


def repeated(groups: np.ndarray) -> list[np.ndarray]:
    """The indices of each image that stands there more than once, one array for each."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def linked(count: int, links: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The things 0 to count - 1 joined along `links`, tuples of them: (count,) int64.

    Each is given the lowest number that it is joined with, over any number of links.
    """
    lowest = np.arange(count)
    for link in links:
        joined = np.isin(lowest, lowest[list(link)])
        lowest[joined] = lowest[joined].min()
    return lowest


def members_of(groups: np.ndarray, values: np.ndarray) -> list[tuple[int, ...]]:
    """The different `values` (N,) of each group that has several, sorted; none twice."""
    found = defaultdict(set)
    for part in repeated(groups):
        if len(members := np.unique(values[part])) > 1:
            found[tuple(int(each) for each in members)].add(int(part[0]))
    return sorted(found)
