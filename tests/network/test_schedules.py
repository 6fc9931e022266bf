"""The learning rates over a run: ends, slopes, jumps, and runs of every length."""

from itertools import pairwise

import pytest

from lenet_xp.schedules import SCHEDULES, constant, cosine, one_cycle, step_decay

PEAK, STEPS = 0.3, 400


def rates(schedule, steps: int = STEPS, **settings) -> list[float]:
    rate = schedule(PEAK, steps, **settings)
    return [rate(step) for step in range(steps)]


def rises(values: list[float]) -> bool:
    return all(a < b for a, b in pairwise(values))


def falls(values: list[float]) -> bool:
    return rises(values[::-1])


def test_constant():
    assert set(rates(constant)) == {PEAK}


def test_step_decay():
    values = rates(step_decay, steps=300)
    assert values[:100] == [PEAK] * 100
    assert values[100:200] == pytest.approx([PEAK * 0.1] * 100)
    assert values[200:] == pytest.approx([PEAK * 0.01] * 100)
    halves = rates(step_decay, steps=8, factor=0.5, drops=3)
    assert halves == pytest.approx([PEAK * 0.5**k for k in (0, 0, 1, 1, 2, 2, 3, 3)])


@pytest.mark.parametrize("floor", (0.0, 0.1))
def test_cosine(floor):
    values = rates(cosine, steps=401, floor=floor)
    assert values[0] == pytest.approx(PEAK) and falls(values)
    assert values[-1] == pytest.approx(floor * PEAK, abs=1e-15)
    assert values[200] == pytest.approx(PEAK * (1 + floor) / 2)  # half-way at half time
    assert PEAK - values[100] == pytest.approx(values[300] - floor * PEAK)


@pytest.mark.parametrize("warm_up, top", ((0.25, 100), (0.5, 200), (0.1, 40)))
def test_one_cycle(warm_up, top):
    values = rates(one_cycle, warm_up=warm_up, start=0.04)
    assert values[0] == pytest.approx(0.04 * PEAK)
    assert values[top] == max(values) == pytest.approx(PEAK)
    assert rises(values[: top + 1]) and falls(values[top:])
    assert values[top // 2] == pytest.approx(PEAK * 1.04 / 2)
    assert values[(top + STEPS) // 2] == pytest.approx(PEAK / 2)
    assert 0 < values[-1] < 1e-3 * PEAK  # the step after the last would have none left
    assert one_cycle(PEAK, STEPS, warm_up=warm_up)(STEPS) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("steps", (1, 2, 3, 7, 50))
@pytest.mark.parametrize("name", SCHEDULES)
def test_runs_of_every_length(name, steps):
    values = rates(SCHEDULES[name], steps)
    assert all(0.0 <= v <= PEAK for v in values)
    assert max(values) > 0.0
    twice = SCHEDULES[name](2 * PEAK, steps)
    assert [twice(s) for s in range(steps)] == pytest.approx([2 * v for v in values])
