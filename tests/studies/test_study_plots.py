"""The studies' pictures are PNG files of their data's marks; matplotlib warns of nothing."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from studies.plots.accuracies import accuracies
from studies.plots.effects import effect_sheet
from studies.plots.few_writers import few_writers
from studies.plots.statistics import compare_statistics

pytestmark = pytest.mark.filterwarnings("error")


def read(path) -> np.ndarray:
    """The picture at `path` (H, W, 3), which leaves its edges white."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = cv2.imread(str(path))
    edges = (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:])
    assert all(edge.min() == 255 for edge in edges), "something runs over the edge"
    return picture


def orange(picture: np.ndarray) -> int:
    """How many pixels are clearly more red than blue."""
    return int(np.count_nonzero(picture[..., 2].astype(int) - picture[..., 0] > 25))


def test_effect_sheet_shows_every_effect_and_strength(tmp_path):
    letters = np.full((3, 32, 32), 255, dtype=np.uint8)
    effects = {
        "shift, pixels": {"1": letters, "2": letters // 255 * 254},
        "an effect": {"weak": letters},
    }
    effect_sheet(letters, effects, tmp_path / "a.png")
    black = (read(tmp_path / "a.png").max(axis=2) < 40).astype(np.uint8)
    tiles = cv2.connectedComponentsWithStats(black)[2][1:, cv2.CC_STAT_AREA]
    assert np.count_nonzero(tiles > 2000) == 3 * (3 + 2)  # both rows begin with the letters


def test_compare_statistics(tmp_path):
    rng = np.random.default_rng(0)
    first, second = (
        {
            "ink_share": rng.random(count),
            "rows_touched": rng.integers(0, 65, count),
            "columns_touched": np.full(count, 64),
            "touches_border": rng.random(count) < 0.7,
        }
        for count in (500, 80)
    )
    compare_statistics(first, second, ("AMHCD", "generated"), tmp_path / "a.png")
    assert orange(read(tmp_path / "a.png")) > 5000


def test_a_curve_over_few_writers_has_both_starts(tmp_path):
    rows = [
        {"writers": count, "start": start, "accuracy": accuracy - 0.02 * (start == "nothing")}
        for count, accuracy in ((5, 0.97), (10, 0.98), (42, 0.99))
        for start in ("generated letters", "nothing")
    ]
    few_writers(rows, tmp_path / "both.png")
    few_writers(rows[::2], tmp_path / "one.png")
    assert orange(read(tmp_path / "both.png")) > 2 * orange(read(tmp_path / "one.png")) > 0


@pytest.mark.parametrize("count", [1, 2, 9])
def test_accuracies_beside_one_another(tmp_path, count):
    rows = [
        SimpleNamespace(
            name=f"experiment {number}",
            accuracy=1 - 0.003 * number,
            interval=(0.98 - 0.003 * number, 1.0),
            runs=(0.99, 0.985) if number % 2 else (),
            new_hands=number == 1,
        )
        for number in range(count)
    ]
    accuracies(rows, tmp_path / "a.png")
    dots = read(tmp_path / "a.png")[60:-60]  # without title and legend
    assert (orange(dots) > 100) == (count > 1)
