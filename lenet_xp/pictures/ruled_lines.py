"""Removes the lines of ruled and squared paper and leaves the ink on them whole.

Level lines are found first, then upright ones in the transposed picture. A black top-hat transform
shows thin dark structures, a morphological opening keeps those that run straight ahead, and a
parabola is fitted to each that spans most of the picture. How much light a line takes is measured
all along it, between quarters of a pixel, and given back: ink that crosses the line, or runs along
it for a while, keeps its own darkness.
"""

from itertools import compress

import numpy as np

from lenet_xp.pictures.ink import MAD_TO_SIGMA
from lenet_xp.system.opencv import cv2

MIN_LENGTH = 0.6  # of the picture's width: runs of a ruled line together
MIN_PART = 0.15  # of the picture's width: the longest part that a letter leaves of a line
MIN_RUN = 40  # pixels: shortest straight run
MAX_DRIFT = 5  # pixels: how far a line rises or sinks on such a run
NEARBY = np.arange(-MAX_DRIFT, MAX_DRIFT + 1)[:, None]  # pixels: offsets of the rows near a line
MAX_GAP = 9  # pixels: widest gap in a run
AVERAGING_LENGTH = 31  # pixels: length along which darkness is averaged against noise
MIN_STEP = 1.5  # grey levels: how far a run is darker than its surroundings
MIN_STEP_SIGMAS = 4  # noise sigmas: the same in noise
MIN_THICKNESS = 5  # pixels: thickest line in small pictures
MAX_THICKNESS = 1 / 100  # of the picture's shorter side: thickest line in large pictures
MAX_PARTS = 400  # parts of lines that are followed, each way
MIN_CERTAIN_LINES = 5  # lines: so many of one direction are no bars of a letter
END_LENGTH = 8  # pixels: length of a line's end at the picture's edge
MIN_END_LEVEL = 0.25  # of a line's median darkness: darkness of both ends of a printed line
MAX_SHORTER = 0.02  # of the picture's width: how much shorter than most a printed line may be
STEPS_PER_PIXEL = 4  # places per pixel at which a line is measured across
SECTION = 48  # pixels: length along which a line is equally strong
MIN_STRENGTH = 0.2  # of a line's usual strength: lower bound where its profile is measured
# of a line's usual strength: upper bound; a line in the light may lie in shadow for the most part
MAX_STRENGTH = 5.0


def remove_ruled_lines(levels: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """A sheet (H, W) uint8, ink darker, without lines that run through most of it, either way.

    dark: whether the photographed ink is dark; else the sheet was inverted. A line printed on paper
    takes a share of the light there; one on a blackboard adds to it.
    The second array, (H, W) uint8, is 255 where lines ran.
    """
    levels, level_lines = _remove_level_lines(levels, dark)
    turned, upright = _remove_level_lines(np.ascontiguousarray(levels.T), dark)
    lines = cv2.bitwise_or(level_lines, np.ascontiguousarray(upright.T))
    return np.ascontiguousarray(turned.T), lines


def _remove_level_lines(levels: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `remove_ruled_lines`, for level lines only."""
    ruled = np.zeros(levels.shape, np.uint8)
    side = min(levels.shape)
    if side < 3 * MIN_RUN:
        return levels, ruled
    thickness = max(MIN_THICKNESS, int(side * MAX_THICKNESS))
    result = levels.astype(np.float32)
    for track in _printed(_find_tracks(levels, thickness), levels, thickness):
        _lighten(result, track, thickness, dark, ruled)
    nearby = cv2.dilate(ruled, np.ones((MAX_DRIFT, 1), np.uint8))
    return np.clip(np.rint(result), 0, 255).astype(np.uint8), nearby


def _find_tracks(levels: np.ndarray, thickness: int) -> list[np.ndarray]:
    """The tracks of level lines: the row of a line's middle in each column, (W,) float64."""
    height, width = levels.shape
    contrast, runs = _level_runs(levels, thickness)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    lengths = stats[1:, cv2.CC_STAT_WIDTH]
    order = np.argsort(-lengths, kind="stable")[:MAX_PARTS]
    columns = np.arange(width)
    tracks = []
    for number in order[lengths[order] >= MIN_PART * width] + 1:
        left, top, wide, high, _ = stats[number]
        part = labels[top : top + high, left : left + wide] == number
        if np.median(part.sum(0)) > MAX_DRIFT + 2 * thickness:
            continue
        degree = 2 if wide >= MIN_LENGTH * width else 1  # a long part shows the sheet's bend
        y, x = np.nonzero(part)
        curve = _robust_fit(x, y, degree)
        track = _refined(top + curve(columns - left), contrast, runs)
        rows = np.clip(np.rint(track).astype(np.int64), 0, height - 1)
        if np.count_nonzero(runs[rows, columns]) >= MIN_LENGTH * width:
            tracks.append(track)
            runs[np.clip(rows + NEARBY, 0, height - 1), columns] = 0  # the line's other parts
    return tracks


def _printed(tracks: list[np.ndarray], levels: np.ndarray, thickness: int) -> list[np.ndarray]:
    """The tracks of printed lines: from edge to edge, or many of much the same length."""
    # The bars of a letter are few, and the lines of a table are shorter than those of its paper.
    if not tracks:
        return tracks
    hat = _top_hat(levels, thickness)
    hat -= np.median(hat)
    rows = np.clip(np.rint(tracks).astype(np.int64), 0, len(levels) - 1)
    along = cv2.blur(hat[rows, np.arange(levels.shape[1])], (END_LENGTH + 1, 1))
    dark = along >= MIN_END_LEVEL * np.median(along, axis=1, keepdims=True)
    blank = np.array([dark.argmax(1), dark[:, ::-1].argmax(1)])  # pixels before and behind a line
    usual = np.percentile(blank, 25, axis=1, keepdims=True)
    if len(tracks) < MIN_CERTAIN_LINES:
        return list(compress(tracks, blank.max(0) < END_LENGTH / 2))
    long = (blank - usual).max(0) <= MAX_SHORTER * len(hat[0])
    # On a sheet that was turned, all lines end elsewhere.
    return list(compress(tracks, long)) if 2 * np.count_nonzero(long) >= len(tracks) else tracks


def _top_hat(levels: np.ndarray, thickness: int) -> np.ndarray:
    """The black top-hat transform of columns: how dark what is thin is, (H, W) float32."""
    kernel = np.ones((2 * thickness + 1, 1), np.uint8)
    return cv2.morphologyEx(levels, cv2.MORPH_BLACKHAT, kernel).astype(np.float32)


def _level_runs(levels: np.ndarray, thickness: int) -> tuple[np.ndarray, np.ndarray]:
    """The contrast of what is thin and level, (H, W) float32; 255 on its runs, (H, W) uint8."""
    along = cv2.blur(_top_hat(levels, thickness), (AVERAGING_LENGTH, 1))
    contrast = along - cv2.blur(along, (4 * AVERAGING_LENGTH, 4 * AVERAGING_LENGTH))
    noise = MAD_TO_SIGMA * float(np.median(np.abs(contrast[::2, ::2])))
    threshold = max(MIN_STEP, MIN_STEP_SIGMAS * noise)
    mask: np.ndarray = np.where(contrast > threshold, 255, 0).astype(np.uint8)
    runs = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, MAX_GAP), np.uint8))
    runs = cv2.dilate(runs, np.ones((MAX_DRIFT, 1), np.uint8))
    return contrast, cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones((1, MIN_RUN), np.uint8))


def _refined(track: np.ndarray, contrast: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """A track (W,) fitted anew to all that is dark near it: it may follow a letter's bar only."""
    height, width = contrast.shape
    columns = np.arange(0, width, 4)
    rows = np.clip(np.rint(track[columns]).astype(np.int64) + NEARBY, 0, height - 1)
    dark = contrast[rows, columns]
    dark = np.maximum(dark - dark.max(0) / 2, 0)
    seen = (runs[rows, columns] > 0).any(0) & (dark.sum(0) > 0)
    if np.count_nonzero(seen) < MIN_RUN // 4:
        return track
    middle = (rows * dark).sum(0)[seen] / dark.sum(0)[seen]
    return np.asarray(_robust_fit(columns[seen], middle, 2)(np.arange(width)))


def _robust_fit(columns: np.ndarray, rows: np.ndarray, degree: int) -> np.polynomial.Polynomial:
    """The polynomial through most of the points; outliers, as on a letter's bar, do not count."""
    kept = np.ones(len(columns), bool)
    for _ in range(3):
        curve = np.polynomial.Polynomial.fit(columns[kept], rows[kept], degree)
        residuals = np.abs(rows - curve(columns))
        kept = residuals <= max(1.0, 2 * float(np.median(residuals)))
    return curve


def _lighten(
    levels: np.ndarray, track: np.ndarray, thickness: int, dark: bool, ruled: np.ndarray
) -> None:
    """Give the light that one line takes back, in place, and mark in `ruled` where it ran."""
    height, width = levels.shape
    reach = thickness + 3
    rows = np.floor(track + 0.5).astype(np.int64) + np.arange(-reach, reach + 1)[:, None]
    columns = np.arange(width)
    sample = (rows >= 0) & (rows < height) & (columns % 3 == 0)
    if not sample.any():
        return  # the curve left the sheet
    rows = np.clip(rows, 0, height - 1)
    band = levels[rows, columns]
    beside = (np.median(band[:3], axis=0) + np.median(band[-3:], axis=0)) / 2
    taken = 1 - band / np.maximum(beside, 1) if dark else beside - band
    places = 2 * STEPS_PER_PIXEL * (reach + 1) + 1
    place = np.rint(STEPS_PER_PIXEL * (rows - track)).astype(np.int64)
    place = np.clip(place + places // 2, 0, places - 1)
    strength = np.ones(width)
    # Twice, for a line may lie between two rows where it is faint and on one where it isn't.
    for _ in range(2):
        normalised = taken / np.maximum(strength, MIN_STRENGTH)
        profile = np.maximum(_place_medians(place[sample], normalised[sample], places), 0)
        strength = _strength(taken, profile[place])
    ruled[rows, columns] |= np.where(profile > profile.max() / 8, 255, 0).astype(np.uint8)[place]
    taken = profile[place] * strength
    levels[rows, columns] = band / np.clip(1 - taken, 0.05, 1) if dark else band + taken


def _place_medians(place: np.ndarray, values: np.ndarray, places: int) -> np.ndarray:
    """The median of (N,) values at each place, (places,); a place that a letter hides has few."""
    order = np.lexsort((values, place))
    place, values = place[order], values[order]
    known, first, count = np.unique(place, return_index=True, return_counts=True)
    enough = count > count.max() / 2  # the other places are interpolated
    medians = values[first + count // 2][enough]
    return np.asarray(np.interp(np.arange(places), known[enough], medians))


def _strength(taken: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """A line's strength in each column, (W,): the light taken per light expected, (rows, W)."""
    width = taken.shape[1]
    count = max(1, width // SECTION)
    edges = np.linspace(0, width, count + 1).astype(int)[:-1]
    weight = expected * (expected >= expected.max(0) / 2)
    shares = (taken * weight).sum(0) / np.maximum((expected * weight).sum(0), 1e-6)
    medians = np.array([np.median(section) for section in np.split(shares, edges[1:])])
    if count > 4:
        around = np.pad(medians, 2, mode="edge")
        medians = np.median([around[start : start + count] for start in range(5)], axis=0)
    middles = edges + width / count / 2
    return np.asarray(np.interp(np.arange(width), middles, medians).clip(0, MAX_STRENGTH))
