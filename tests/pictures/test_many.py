"""Many pictures at once: each as if alone, few of them in memory, large ones one after another."""

import os
import threading
import time
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
    def picture(index, admit):
        if index % 50 == 7:
            raise InputError(f"{index}: is broken")
        admit(32 * 32)
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
    def picture(index, admit):
        if index == 3:
            raise ZeroDivisionError
        return drawn(index)

    with pytest.raises(ZeroDivisionError):
        prepare(300, picture, SAME, "name", False)


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_task_holds_a_few_pictures_at_a_time(monkeypatch, asked_first):
    """Of 1,024 pixels each where 3,500 may be held: three, and the one that is on its way."""
    monkeypatch.setattr(many, "MAX_HELD", 3500)
    monkeypatch.setattr(many, "MAX_WORKERS", 1)
    before, alive = [], []

    def picture(index, admit):
        if asked_first:
            admit(32 * 32)
        alive.append(sum(each() is not None for each in before))
        found = drawn(index)
        before.append(weakref.ref(found))
        return found

    images, _ = prepare(40, picture, SAME, "name", False)
    assert 2 <= max(alive) <= 4
    np.testing.assert_array_equal(images[39], SAME.apply(drawn(39)))


def large(monkeypatch, pixels, meet):
    """Prepare four large pictures of so many pixels where 10,000 are free in all."""
    monkeypatch.setattr(many, "MAX_HELD", 1000)
    monkeypatch.setattr(many, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(many, "CHUNK", 1)

    def picture(index, admit):
        admit(pixels)
        meet()
        return drawn(index)

    images, errors = prepare(4, picture, SAME, "name", False)
    assert not errors
    for index in range(4):
        np.testing.assert_array_equal(images[index], SAME.apply(drawn(index)))


def test_large_pictures_that_do_not_fit_together_wait_for_one_another(monkeypatch):
    inside, most, lock = [0], [0], threading.Lock()

    def meet():
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        with lock:
            inside[0] -= 1

    for pixels in (5001, 10_000):
        large(monkeypatch, pixels, meet)
    assert most == [1]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two threads")
def test_large_pictures_that_fit_together_do_not_wait(monkeypatch):
    meeting = threading.Barrier(2, timeout=20)  # broken where one waits for the other
    large(monkeypatch, 5000, meeting.wait)


def test_the_first_problem_stands_for_all():
    one = "b: is broken, or leave such images out with --skip-bad"
    assert first_problem({7: "b: is broken"}) == one
    two = "a: is broken (2 such images), or leave such images out with --skip-bad"
    assert first_problem({7: "b: is broken", 3: "a: is broken"}) == two
