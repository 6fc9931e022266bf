"""Printed words for page studies: order, gaps and boxes of their letters."""

import numpy as np
import pytest

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.print import Design
from studies.page_check.printed import GAP, lay_word

NAMES = [each.name for each in letters()]


@pytest.mark.parametrize("seed", range(5))
def test_letters_of_a_word_stand_side_by_side_and_do_not_touch(seed):
    rng = np.random.default_rng(seed)
    labels = [NAMES.index(name) for name in ("yat", "ya", "yam", "yan", "yaz", "yi", "yagh")]
    cover = np.zeros((100, 700), np.float32)
    written = lay_word(cover, labels, (10, 20), 60, 3, Design(rng), rng)
    assert [each.label for each in written] == labels
    assert {each.line for each in written} == {3}
    ends = [each.box[0] + each.box[2] for each in written]
    gaps = [each.box[0] - end for each, end in zip(written[1:], ends, strict=False)]
    assert all(GAP[0] * 60 - 1 <= gap <= GAP[1] * 60 + 3 for gap in gaps)
    assert cover[:20].max() == cover[80:].max() == 0
    for left, top, wide, high in (each.box for each in written):
        assert cover[top : top + high, left : left + wide].max() > 0.1
    low = written[1].box
    assert low[3] < 0.55 * 60


def test_a_word_beyond_the_edge_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="does not fit"):
        lay_word(np.zeros((80, 60), np.float32), [1, 2, 3], (0, 0), 60, 0, Design(rng), rng)
