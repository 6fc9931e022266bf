"""Where words begin on a line: at gaps that are wider than those between letters."""

import numpy as np

MIN_GAPS = 3  # on a line: so many show how wide a gap between letters is
SURE_GAP = 1.0  # line heights: where there are fewer, words stand further apart
MIN_STEP = 0.1  # line heights: from the widest gap between letters to the narrowest between words
MIN_STEP_IN_GAPS = 0.7  # of the median gap between letters: the same
MIN_SPREADS = 2.0  # standard deviations of the gaps between letters: the same


def spaces(boxes: np.ndarray, height: float) -> np.ndarray:
    """Before which letters of a line a word begins, (N,) bool; before the first never.

    boxes: (N, 4) left, top, right, bottom, from left to right. height: of the line, in pixels.
    Where there are several gaps, the greater half of them are within words.
    """
    gaps = (boxes[1:, 0] - boxes[:-1, 2]) / height
    least = SURE_GAP
    if len(gaps) >= MIN_GAPS:
        ordered = np.sort(gaps)
        steps = np.diff(ordered)
        steps[: (len(gaps) - 1) // 2] = 0
        place = int(steps.argmax())
        within = ordered[: place + 1]
        in_gaps, in_spreads = MIN_STEP_IN_GAPS * np.median(within), MIN_SPREADS * within.std()
        wide = steps[place] >= max(MIN_STEP, in_gaps, in_spreads)
        least = float(ordered[place + 1]) if wide else np.inf
    return np.concatenate([[False], gaps >= least])
