"""Letters for the page to write by itself: the pen's way, as the generated letters have it."""

import numpy as np

from lenet_xp.data.handwriting import SIZE, hands, write
from lenet_xp.data.strokes import SHAPES

MOST = 2**31  # examples of each letter


def pen_strokes(name: str, number: int) -> list[list[list[float]]]:
    """The strokes of one handwritten letter: [x, y] points in fractions of AMHCD's frame, y down.

    number: which example of the letter; the same one is the same again. Raises KeyError for a
    name that is not in the alphabet.
    """
    shape = SHAPES[name]
    writer, moment = (np.random.default_rng([number, part]) for part in range(2))
    ((_, points),) = write(shape, hands(writer, moment, 1), moment)
    strokes: list[list[list[float]]] = (points[0] / SIZE).round(4).tolist()
    return strokes
