"""What `lenet_xp.fit` takes and refuses, and what it says of a training that went wrong."""

from dataclasses import replace

import numpy as np
import pytest
from test_training import RECIPE, bars, trained

from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.training.recipes import RECIPES


def test_a_recipe_may_be_given_by_its_name():
    quick = RECIPES["classic"].with_options(epochs=10)
    values = [
        trained(recipe, model=LeNet5(3, ops=get_ops("numpy")), threads=1)[2]
        for recipe in ("classic", quick)
    ]
    np.testing.assert_array_equal(*values)
    with pytest.raises(ValueError, match=r"not 'clasic'; did you mean classic\?"):
        trained("clasic", model=LeNet5(3, ops=get_ops("numpy")))
    with pytest.raises(ValueError, match=r"recipe must be .*1998 or a TOML file, not 3"):
        trained(3, model=LeNet5(3, ops=get_ops("numpy")))


def test_less_than_one_thread_is_refused():
    for threads in (0, -1):
        with pytest.raises(ValueError, match="threads must be at least 1"):
            trained(threads=threads)


def test_a_fit_that_ran_away_with_finite_numbers_is_told():
    said = []
    hot = replace(RECIPE, optimiser="sgd", learning_rate=1e9, epochs=1)
    images, labels = bars(12, 1)
    val = images, (labels + 1) % 3  # all answers are wrong, and given with certainty
    trained(hot, val=val, threads=1, on_doubt=said.append)
    assert len(said) == 1 and "ran away" in said[0] and "learning rate 1e+09 is too high" in said[0]
    with pytest.warns(UserWarning, match="ran away"):
        trained(hot, val=val, threads=1)
    trained(threads=1, on_doubt=pytest.fail)
