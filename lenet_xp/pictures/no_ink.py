"""Tells ink from paper alone: the one notion of a blank for letters, pages and the demo.

Noise, grain, a shadow and the fall of light have levels that lie close together: what a threshold
cuts out of them is hardly further from the pixels beside it than those are from one another. Ink
has an edge: it is many times as far from the paper around it as that paper varies.
"""

import numpy as np

from lenet_xp.pictures.ink import MAD_TO_SIGMA, MIN_TILE
from lenet_xp.pictures.sheet import OVERVIEW_SIDE, shrunk
from lenet_xp.system.opencv import cv2

# grey levels: a picture that spans less is blank, paper and noise; AMHCD's faintest image spans 57
MIN_RANGE = 16
MAX_BETWEEN = 0.2  # of a picture's pixels: levels between paper and ink; more need a closer look
MIN_MINORITY = 0.02  # of a picture's pixels: ink, or paper if there is less, perhaps dust

MIN_DISTANCE = 4.0  # noise sigmas: ink from the paper beside it
TINY = 32  # pixels: longer side of a letter that a few pixels of noise may look like
MIN_DISTANCE_OF_TINY = 9.0  # noise sigmas: the ink of such a letter from the paper beside it
SMALL = 3 * MIN_TILE  # pixels: shorter side of a picture that tells too little of its paper's noise
MIN_DISTANCE_IN_SMALL = 12.0  # noise sigmas: ink from the paper beside it in such a picture
# noise sigmas: its darker from its lighter pixels, where shadows or lines are beside the ink
MIN_DISTANCE_OF_HALVES = 9.0
MIN_DISTANCE_IN_DATA = 8.0  # noise sigmas: the same in a picture of a data set
STRONG_SPAN = 100  # grey levels: spanned by more than paper, unless by noise alone or the light
MIN_STRONG_DISTANCE = 3.0  # noise sigmas: the same in a picture of a data set that spans as much
MIN_JUDGED_SIDE = 20  # pixels: a smaller picture shows too little of its paper to be judged by it
SMOOTHING_SIGMA = 0.8  # pixels: Gaussian smoothing before levels are compared
RESIDUE_TO_NOISE = 0.44  # times: the noise that this smoothing leaves per noise that it takes
MIN_NOISE = 1.0  # grey levels: noise that rounding and compression alone make
REACH = 1 / 8  # of a letter's longer side: how far around its ink the paper is looked at
MIN_REACH = 4  # pixels
MIN_PAPER = 0.1  # of the pixels: paper off the edges of ink; where less is left, edges count
MIN_PAPER_NEARBY = 0.02  # of the pixels within reach of a pixel: paper to compare it with
MIN_SPECK = 4  # pixels: area of ink; less is dust
LIGHT_ROUNDS = 2  # times that paper shows the fall of light, and this shows what is paper
MAX_SAMPLE = 50_000  # pixels: sample enough for a median


def are_blank(greys: np.ndarray) -> np.ndarray:
    """Which of (N, H, W) uint8 pictures, small as those of data sets, hold no ink: (N,) bool.

    Where nearly all pixels are either paper or ink, levels alone tell.
    """
    low = greys.min((1, 2))[:, None, None]
    above, span = greys - low, greys.max((1, 2))[:, None, None] - low
    between = ((above > span // 4) & (above < span - span // 4)).mean((1, 2))
    lighter = (above > span // 2).mean((1, 2))
    doubtful = (between > MAX_BETWEEN) | (np.minimum(lighter, 1 - lighter) < MIN_MINORITY)
    doubtful &= min(greys.shape[1:]) >= MIN_JUDGED_SIDE
    blank = span[:, 0, 0] < MIN_RANGE
    for place in np.flatnonzero(doubtful & ~blank):
        strong = span[place, 0, 0] >= STRONG_SPAN
        least = MIN_STRONG_DISTANCE if strong else MIN_DISTANCE_IN_DATA
        blank[place] = _halves_apart(greys[place]) < least
    return np.asarray(blank)


def is_ink(grey: np.ndarray, mask: np.ndarray, side: int, picture_side: int) -> bool:
    """Whether what was found under a mask is ink, rather than noise, a shadow or dust.

    grey, mask: (H, W) uint8, of a picture or of a part of it. side: pixels, longer side of a
    letter. picture_side: pixels, shorter side of the whole picture.
    """
    reach, levels = max(MIN_REACH, int(side * REACH)), grey.astype(np.float32)
    if picture_side < SMALL:
        found = max(_distance(levels, mask > 0, reach, 1), _halves_apart(grey))
        return found >= MIN_DISTANCE_IN_SMALL
    least = MIN_DISTANCE if side >= TINY else MIN_DISTANCE_OF_TINY
    levels -= _fall_of_light(levels, mask == 0)
    if _distance(levels, mask > 0, reach, 2) >= least:
        return True
    return _halves_apart(shrunk(grey, OVERVIEW_SIDE)) >= MIN_DISTANCE_OF_HALVES


def _halves_apart(grey: np.ndarray) -> float:
    """How far the darker and the lighter pixels of a picture (H, W) uint8 are apart, in sigmas."""
    levels = grey.astype(np.float32)
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_SIGMA)
    light, ink = np.zeros_like(levels), np.zeros(grey.shape, bool)
    for _ in range(LIGHT_ROUNDS):
        light = _fall_of_light(smooth, ~ink)
        rest = smooth - light
        low, high = float(rest.min()), float(rest.max())
        rest = ((rest - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
        ink = cv2.threshold(rest, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1] == 0
        if 2 * np.count_nonzero(ink) > ink.size:
            ink = ~ink
    return _distance(levels - light, ink, max(MIN_REACH, int(max(grey.shape) * REACH)), 1)


def _fall_of_light(levels: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The quadratic surface, (H, W) float32, through levels (H, W) where paper, (H, W) bool, is."""
    step = 1 + int((levels.size / MAX_SAMPLE) ** 0.5)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in levels.shape)
    known = np.nonzero(paper[::step, ::step])
    terms = np.stack(_quadratic_terms(y[::step][known[0]], x[::step][known[1]])).astype(float)
    sample = levels[::step, ::step][known].astype(float)
    weights = np.linalg.lstsq(terms @ terms.T, terms @ sample)[0].astype(np.float32)
    light = np.zeros(levels.shape, np.float32)
    for weight, term in zip(weights, _quadratic_terms(y[:, None], x), strict=True):
        light += weight * term
    return light


def _quadratic_terms(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    return np.ones_like(x), x, y, x * x, x * y, y * y


def _distance(levels: np.ndarray, ink: np.ndarray, reach: int, edge: int) -> float:
    """How far the levels of ink are from those beside it, in sigmas of these; 0 for dust.

    levels: (H, W) float32. ink: (H, W) bool. reach: pixels. edge: pixels, rim that is no paper.
    """
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_SIGMA)
    kernel, window = np.ones((2 * edge + 1, 2 * edge + 1), np.uint8), (2 * reach + 1, 2 * reach + 1)
    paper = cv2.dilate(ink.astype(np.uint8), kernel) == 0
    if np.count_nonzero(paper) < MIN_PAPER * paper.size:
        paper = ~ink
    share = cv2.blur(paper.astype(np.float32), window)
    around = cv2.blur(smooth * paper, window) / np.maximum(share, 1e-6)
    compared = ink & (share > MIN_PAPER_NEARBY)
    beside = paper & (cv2.blur(ink.astype(np.float32), window) > 0)
    if min(np.count_nonzero(compared), np.count_nonzero(beside)) < MIN_SPECK:
        return 0.0
    difference = smooth - around
    step = float(np.median(difference[compared]))
    strong = ((levels - around) * np.sign(step) > abs(step)).astype(np.uint8)
    areas = cv2.connectedComponentsWithStats(strong, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    if areas.max(initial=0) < MIN_SPECK:
        return 0.0
    residue = RESIDUE_TO_NOISE * _sigma((levels - smooth).reshape(-1))
    return abs(step) / max(_sigma(difference[beside]), residue, MIN_NOISE)


def _sigma(values: np.ndarray) -> float:
    """The standard deviation of (N,) values that are normal but for outliers."""
    values = values[:: 1 + len(values) // MAX_SAMPLE]
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))
