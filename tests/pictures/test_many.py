"""Many pictures at once: each as if alone, few of them in memory."""

import weakref
from contextlib import contextmanager

import numpy as np
import pytest

from lenet_xp.errors import InputError
from lenet_xp.pictures import many
from lenet_xp.pictures.many import first_problem, prepare
from lenet_xp.pictures.preprocess import Preprocessing

SAME = Preprocessing()


def drawn(index, shape=(32, 32)):
    return np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def advanced(monkeypatch):
    """The numbers that the progress was told."""
    told = []

    @contextmanager
    def bar(total, label, shown):
        told.append((total, label, shown))
        yield told.append

    monkeypatch.setattr(many, "progress_bar", bar)
    return told


@pytest.mark.parametrize("count", [0, 1, 128, 129, 300])
def test_each_picture_is_preprocessed_as_if_alone_and_counted_once(count, advanced):
    def picture(index):
        if index % 50 == 7:
            raise InputError(f"{index}: is broken")
        return drawn(index)

    images, errors = prepare(count, picture, SAME, "name", True)
    broken = [index for index in range(count) if index % 50 == 7]
    assert errors == {index: f"{index}: is broken" for index in broken}
    assert images.shape == (count, 32, 32)
    for index in range(count):
        expected = SAME.apply(drawn(index)) if index not in broken else np.zeros((32, 32))
        np.testing.assert_array_equal(images[index], expected)
    assert advanced[0] == (count, "name", True) and sum(advanced[1:]) == count
    assert all(0 < each <= 128 for each in advanced[1:])


def test_another_error_ends_it(advanced):
    def picture(index):
        if index == 3:
            raise ZeroDivisionError
        return drawn(index)

    with pytest.raises(ZeroDivisionError):
        prepare(300, picture, SAME, "name", False)


def test_a_task_holds_a_few_pictures_at_a_time(monkeypatch):
    """Of 1,024 pixels each where 3,500 may be held: three, and the one that is on its way."""
    monkeypatch.setattr(many, "MAX_HELD", 3500)
    monkeypatch.setattr(many, "MAX_WORKERS", 1)
    before, alive = [], []

    def picture(index):
        alive.append(sum(each() is not None for each in before))
        found = drawn(index)
        before.append(weakref.ref(found))
        return found

    images, _ = prepare(40, picture, SAME, "name", False)
    assert 2 <= max(alive) <= 4
    np.testing.assert_array_equal(images[39], SAME.apply(drawn(39)))


def test_the_first_problem_stands_for_all():
    one = "b: is broken, or leave such images out with --skip-bad"
    assert first_problem({7: "b: is broken"}) == one
    two = "a: is broken (2 such images), or leave such images out with --skip-bad"
    assert first_problem({7: "b: is broken", 3: "a: is broken"}) == two
