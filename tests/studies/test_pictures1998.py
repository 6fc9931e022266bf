"""The pictures of 1998 beside today: what they are drawn from, and that they are drawn."""

import numpy as np

from lenet_xp.plots.canvas import caption
from lenet_xp.training.recipes import PUBLISHED
from studies import pictures1998
from studies.plots import lenet1998 as plots


def test_rates_are_of_free_parameters_only(monkeypatch):
    rng = np.random.default_rng(0)
    names = tuple("0123456789")
    model = PUBLISHED.make_network(10, class_names=names)
    train = rng.integers(0, 256, (40, 32, 32)).astype(np.uint8), np.arange(40) % 10
    monkeypatch.setattr(pictures1998, "MEASURED", 20)
    rates = pictures1998.rates_of(model, train, PUBLISHED.preprocessing())
    counts = {name: len(each) for name, each in rates.items()}
    assert counts == {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48120, "F6": 10164}
    assert all(each.min() > 0 and each.max() <= 0.0005 / 0.02 * 1.001 for each in rates.values())


def test_kernels_that_are_not_connected_stay_blank():
    old, new = np.ones((2, 16, 6, 5, 5), np.float32)
    figure = plots.kernels(old, [[0, 2]] * 16, new)
    assert len(figure.axes[0].images) == 16 * 2 + 16 * 6


def test_the_study_draws_four_pictures(tmp_path):
    how = ["--samples", "4", "--epochs", "1", "--out", str(tmp_path)]
    pictures1998.main(how)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["codes.png", "kernels.png", "maps.png", "rates.png"]


def test_codes_stand_under_what_the_network_makes():
    bitmaps = {name: np.full((12, 7), 1.0) for name in pictures1998.WITH_CODES}
    figure = plots.codes(bitmaps, bitmaps)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(figure.axes[0].images) == 16 and {caption(n) for n in bitmaps} <= set(texts)
