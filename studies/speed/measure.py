"""Timing on a noisy machine: contenders take turns, and medians are compared."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np


def host_clock(call: Callable[[], object], repeats: int) -> float:
    """Return seconds per call, the median of single calls."""
    single = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        single.append(time.perf_counter() - started)
    return float(np.median(single))


@dataclass(frozen=True)
class Contender:
    """Something to time.

    call: does the work once. items: images, or floating-point operations, of one call. setting:
    gives the context in which the calls run. clock: (call, repeats) -> seconds per call; a device
    has its own.
    """

    call: Callable[[], object]
    items: float
    setting: Callable[[], AbstractContextManager[object]] = field(default=nullcontext)
    clock: Callable[[Callable[[], object], int], float] = host_clock


@dataclass(frozen=True)
class Timing:
    """turns: seconds per call, one value per turn. items: of one call."""

    turns: tuple[float, ...]
    items: float

    @property
    def median(self) -> float:
        return float(np.median(self.turns))

    @property
    def rate(self) -> float:
        """Items per second, from the median."""
        return self.items / self.median

    @property
    def spread(self) -> float:
        """Half the interquartile range, as a share of the median."""
        low, high = np.percentile(self.turns, (25, 75))
        return float((high - low) / 2 / self.median)


def take_turns(
    contenders: Mapping[str, Contender], turns: int, seconds: float, rest: float = 0.0
) -> dict[str, Timing]:
    """Time each contender in `turns` rounds, in turns of about `seconds`.

    rest: seconds after each turn, in which threads that still spin for more work fall asleep.
    Every round starts with another contender, so that none always runs on a hot or a cold machine.
    """
    repeats = {name: _warm_up(each, seconds) for name, each in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            each = contenders[name]
            with each.setting():
                each.call()  # brings its data back into the cache
                times[name].append(each.clock(each.call, repeats[name]))
            time.sleep(rest)
    return {name: Timing(tuple(times[name]), contenders[name].items) for name in names}


def _warm_up(contender: Contender, seconds: float) -> int:
    """Call a contender for half a turn; the number of calls that fill a turn."""
    calls, started = 0, time.perf_counter()
    with contender.setting():
        while calls < 3 or time.perf_counter() - started < seconds / 2:
            contender.clock(contender.call, 1)
            calls += 1
    each = (time.perf_counter() - started) / calls
    return int(np.clip(seconds / each, 3, 2000))
