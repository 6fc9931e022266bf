"""Ruled and squared paper: its lines lightened until they are paper, the ink on them left whole.

What a line takes from the light is measured all along it, between quarters of a pixel, and given
back: ink that crosses it, or runs along it for a while, keeps its own darkness.
"""

import numpy as np

from lenet_xp.system.opencv import cv2

SPANS = 0.6  # of the picture: how far a ruled line goes at least
PART = 0.15  # of the picture: the longest part of one that a letter on it leaves whole
RUN = 40  # pixels that it goes straight ahead, at least
SLACK = 5  # pixels that it may rise or sink on such a run
GAP = 9  # pixels where it may be lost
ALONG = 31  # pixels along which a line's darkness is averaged to see it in the noise
THICKEST = 1 / 100  # of the picture: the thickest line, 5 pixels in small ones
MOST = 200  # lines, of each way
MANY = 5  # lines that are a letter's bars no more
END, AT_END = 8, 0.25  # pixels at a picture's edge; of a line's level, what is left of it there
STEPS = 4  # to a pixel, in which a line is measured across
STRETCH = 48  # pixels along which a line is as strong
# Times as strong as mostly: a board's line in the light, where most of it lies in shadow.
WEAKEST, STRONGEST = 0.2, 5.0


def without_rules(paper: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """A sheet (H, W) uint8, ink darker, without lines that run through most of it, either way.

    dark: whether it is so by nature, or a board turned round: a line printed on paper hides a part
    of its light, one on a board adds to it. The second array, (H, W) uint8, is 255 where they ran.
    """
    paper, level = _without_level_ones(paper, dark)
    turned, upright = _without_level_ones(np.ascontiguousarray(paper.T), dark)
    return np.ascontiguousarray(turned.T), cv2.bitwise_or(level, np.ascontiguousarray(upright.T))


def _without_level_ones(paper: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    height, width = paper.shape
    ruled = np.zeros((height, width), np.uint8)
    if min(height, width) < 3 * RUN:
        return paper, ruled
    thick = max(5, int(min(height, width) * THICKEST))
    result = paper.astype(np.float32)
    for track in _printed(_tracks(paper, thick), paper, thick):
        _lighten(result, track, thick, dark, ruled)
    nearby = cv2.dilate(ruled, np.ones((SLACK, 1), np.uint8))
    return np.clip(np.rint(result), 0, 255).astype(np.uint8), nearby


def _tracks(paper: np.ndarray, thick: int) -> list[np.ndarray]:
    """The rows, (W,) each, of all that runs level through most of a sheet, thin and dark."""
    height, width = paper.shape
    along, runs = _level_runs(paper, thick)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    lengths = stats[1:, cv2.CC_STAT_WIDTH]
    order = np.argsort(-lengths, kind="stable")[: 2 * MOST]
    columns = np.arange(width)
    tracks = []
    for number in order[lengths[order] >= PART * width] + 1:
        left, top, wide, high, _ = stats[number]
        piece = pieces[top : top + high, left : left + wide] == number
        if np.median(piece.sum(0)) > SLACK + 2 * thick:
            continue
        track = _followed(_track(piece, left, top, width), along, runs)
        row = np.clip(np.rint(track).astype(np.int64), 0, height - 1)
        if np.count_nonzero(runs[row, columns]) >= SPANS * width:
            tracks.append(track)
            around = np.clip(row + np.arange(-SLACK, SLACK + 1)[:, None], 0, height - 1)
            runs[around, columns] = 0  # its other parts
    return tracks


def _printed(tracks: list[np.ndarray], paper: np.ndarray, thick: int) -> list[np.ndarray]:
    """The tracks of printed lines: there are many of them, or they run from edge to edge.

    In a picture that a letter nearly fills, its bars run through most of it, too.
    """
    if not 0 < len(tracks) < MANY:
        return tracks
    hat = _hat(paper, thick)
    hat -= np.median(hat)
    columns = np.arange(paper.shape[1])
    printed = []
    for track in tracks:
        level = hat[np.clip(np.rint(track).astype(np.int64), 0, len(paper) - 1), columns]
        ends = min(level[:END].mean(), level[-END:].mean())
        if ends >= AT_END * np.median(level):
            printed.append(track)
    return printed


def _hat(paper: np.ndarray, thick: int) -> np.ndarray:
    """How much darker than what is above or below it each pixel is, (H, W) float32."""
    kernel = np.ones((2 * thick + 1, 1), np.uint8)
    return cv2.morphologyEx(paper, cv2.MORPH_BLACKHAT, kernel).astype(np.float32)


def _level_runs(paper: np.ndarray, thick: int) -> tuple[np.ndarray, np.ndarray]:
    """How dark what is thin and level is, (H, W) float32, and where it goes straight ahead, uint8.

    The second is 255 there and 0 elsewhere.
    """
    along = cv2.blur(_hat(paper, thick), (ALONG, 1))
    above = along - cv2.blur(along, (4 * ALONG, 4 * ALONG))
    noise = 1.4826 * float(np.median(np.abs(above[::2, ::2])))
    mask: np.ndarray = np.where(above > max(1.5, 4 * noise), 255, 0).astype(np.uint8)
    runs = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, GAP), np.uint8))
    runs = cv2.dilate(runs, np.ones((SLACK, 1), np.uint8))
    return above, cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones((1, RUN), np.uint8))


def _track(piece: np.ndarray, left: int, top: int, width: int) -> np.ndarray:
    """The row of a line's middle by column, (width,): a parabola, for sheets bend.

    Where only a part of the line is known, that part's own direction.
    """
    degree = 2 if piece.shape[1] >= SPANS * width else 1
    rows, columns = np.nonzero(piece)
    count = np.bincount(columns, minlength=piece.shape[1])
    there = np.flatnonzero(count)
    middle = np.bincount(columns, rows, minlength=piece.shape[1])[there] / count[there]
    level = count[there] <= np.median(count[there]) + 1
    bent = _bent(there[level], middle[level], degree)
    track: np.ndarray = top + bent(np.arange(-left, width - left))
    return track


def _followed(track: np.ndarray, along: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """A track's rows, (W,), once more, from all that is dark and level near it.

    along, runs: of `_level_runs`. What the track was drawn from may have been a part of the line,
    and a letter's bar with it.
    """
    columns = np.arange(0, along.shape[1], 4)
    rows = np.rint(track[columns]).astype(np.int64) + np.arange(-SLACK, SLACK + 1)[:, None]
    rows = np.clip(rows, 0, len(along) - 1)
    dark = along[rows, columns]
    dark = np.maximum(dark - dark.max(0) / 2, 0)
    seen = (runs[rows, columns] > 0).any(0) & (dark.sum(0) > 0)
    if np.count_nonzero(seen) < RUN // 4:
        return track
    middle = (rows * dark).sum(0)[seen] / dark.sum(0)[seen]
    followed: np.ndarray = _bent(columns[seen], middle, 2)(np.arange(along.shape[1]))
    return followed


def _bent(columns: np.ndarray, rows: np.ndarray, degree: int) -> np.polynomial.Polynomial:
    """The curve of a degree through most of the points, whatever the others are."""
    kept = np.ones(len(columns), bool)
    for _ in range(3):  # where a letter's bar lies along a line, its middle is off
        bent = np.polynomial.Polynomial.fit(columns[kept], rows[kept], degree)
        off = np.abs(rows - bent(columns))
        kept = off <= max(1.0, 2 * float(np.median(off)))
    return bent


def _lighten(
    paper: np.ndarray, track: np.ndarray, thick: int, dark: bool, ruled: np.ndarray
) -> None:
    """Give one line's light back, in place, and note where it ran.

    paper: (H, W) float32. track: (W,) the row of its middle. ruled: (H, W) uint8.
    """
    reach = thick + 3
    rows = np.floor(track + 0.5).astype(np.int64) + np.arange(-reach, reach + 1)[:, None]
    columns = np.arange(paper.shape[1])
    sample = (rows >= 0) & (rows < len(paper)) & (columns % 3 == 0)
    if not sample.any():
        return  # a curve that left the sheet
    rows = np.clip(rows, 0, len(paper) - 1)
    band = paper[rows, columns]
    beside = (np.median(band[:3], axis=0) + np.median(band[-3:], axis=0)) / 2
    taken = 1 - band / np.maximum(beside, 1) if dark else beside - band
    place = np.rint(STEPS * (rows - track)).astype(np.int64)
    places = 2 * STEPS * (reach + 1) + 1
    place = np.clip(place + places // 2, 0, places - 1)
    strength = np.ones(paper.shape[1])
    for _ in range(2):  # a line may lie between two rows where it is faint, on one where it is not
        evenly = taken / np.maximum(strength, WEAKEST)
        profile = np.maximum(_medians(place[sample], evenly[sample], places), 0)
        strength = _strength(taken, profile[place])
    ruled[rows, columns] |= np.where(profile > profile.max() / 8, 255, 0).astype(np.uint8)[place]
    taken = profile[place] * strength
    paper[rows, columns] = band / np.clip(1 - taken, 0.05, 1) if dark else band + taken


def _medians(place: np.ndarray, values: np.ndarray, places: int) -> np.ndarray:
    """The median of the values at each place, (places,); between places where there are few.

    place: (N,) int64 from 0 to places - 1. values: (N,).
    """
    order = np.lexsort((values, place))
    place, values = place[order], values[order]
    known, first, count = np.unique(place, return_index=True, return_counts=True)
    enough = count > count.max() / 2  # fewer a letter may hide
    median = values[first + count // 2][enough]
    result: np.ndarray = np.interp(np.arange(places), known[enough], median)
    return result


def _strength(taken: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How strong a line is along its way, (W,) around 1: what it takes by what it takes mostly."""
    count = max(1, taken.shape[1] // STRETCH)
    edges = np.linspace(0, taken.shape[1], count + 1).astype(int)[:-1]
    weight = expected * (expected >= expected.max(0) / 2)
    shares = (taken * weight).sum(0) / np.maximum((expected * weight).sum(0), 1e-6)
    medians = np.array([np.median(part) for part in np.split(shares, edges[1:])])
    if count > 4:
        around = np.pad(medians, 2, mode="edge")
        medians = np.median([around[start : start + count] for start in range(5)], axis=0)
    middles = edges + taken.shape[1] / count / 2
    strength: np.ndarray = np.interp(np.arange(taken.shape[1]), middles, medians)
    np.clip(strength, 0, STRONGEST, out=strength)
    return strength
