"""Statistics of pictures against counts by hand."""

import numpy as np
import pytest

from studies.effects.statistics import picture_statistics


def test_a_bar_a_frame_and_a_blank_page_are_counted():
    pictures = np.zeros((3, 16, 16), np.uint8)
    pictures[0, 2:14, 5:10] = 255  # 12 rows by 5 columns
    pictures[1, [0, -1]] = pictures[1, :, [0, -1]] = 255
    pictures[0, 2:14, 10] = 100  # a soft edge, too faint for ink
    found = picture_statistics(pictures)
    np.testing.assert_allclose(found["ink_share"], [60 / 256, 60 / 256, 0])
    np.testing.assert_allclose(found["grey_share"], [12 / 256, 0, 0])
    assert found["rows_with_ink"].tolist() == [12, 16, 0]
    assert found["columns_with_ink"].tolist() == [5, 16, 0]
    assert found["touches_all_borders"].tolist() == [False, True, False]
    assert found["stroke_width"][0] == pytest.approx(5, abs=1)
    assert found["stroke_width"][2] == 0
