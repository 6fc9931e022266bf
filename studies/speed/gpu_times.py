"""Times on a GPU: the real data, whole steps beside PyTorch, and each kernel of a step."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.training.batches import steps_at_once
from studies.speed import gpu_amhcd
from studies.speed.gpu import RECIPES, Part, Sizes
from studies.speed.gpu_ours import device_clock, launches_of_a_step, stepper
from studies.speed.gpu_speed import run_gpu_benchmark
from studies.speed.gpu_table import amhcd_lines, gpu_table

COPIES = 20  # of a launch in a graph of its own
RACE_SECONDS = 60


def amhcd(sizes: Sizes) -> dict[str, Any]:
    """The issue's rows on the real data: an epoch, the race to 97.13 %, 40 epochs of `best`."""
    if sizes.amhcd is None:
        return {"left out": "give the archive with --amhcd"}
    found = gpu_amhcd.measure(sizes.amhcd, CupyOps())
    found["cold"] = gpu_amhcd.cold_race(sizes.amhcd, RACE_SECONDS)
    return found | {"text": amhcd_lines(found)}


def speed(sizes: Sizes) -> dict[str, Any]:
    """What `lenet-xp benchmark --gpu` measures, in little, without what PyTorch compiles."""
    said: list[str] = []
    record = run_gpu_benchmark(
        sizes.batches,
        sizes.turns,
        sizes.seconds,
        said.append,
        compiled=False,
        epoch=sizes.epoch,
    )
    return record | {"text": gpu_table(record).splitlines()}


def kernels(sizes: Sizes) -> dict[str, Any]:
    """Each launch of a step in order, repeated alone: microseconds on the device.

    Where they lie near the time of a launch from the host (some 5), that is what they show.
    """
    found = {}
    for batch in sizes.batches:
        for name, recipe in RECIPES.items():
            clock = device_clock(ops := CupyOps(graph=False))
            for place, launch in enumerate(launches_of_a_step(ops, recipe, batch)):
                microseconds = 1e6 * clock(launch.again, sizes.repeats)
                found[f"{name}, batch {batch}, {place:2d} {launch.title}"] = round(microseconds, 2)
    return found


def graphs_of_one_kernel(sizes: Sizes) -> dict[str, Any]:
    """Each launch of a `best` step of the smallest batch as a graph of many copies of itself:
    microseconds with the host's part taken out."""
    clock = device_clock(ops := CupyOps(graph=False))
    cuda, found = ops.xp.cuda, {}
    for place, launch in enumerate(launches_of_a_step(ops, RECIPES["best"], sizes.batches[0])):
        stream = cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            for _ in range(COPIES):
                launch.again()
            graph = stream.end_capture()
        microseconds = 1e6 * clock(graph.launch, max(sizes.repeats // 10, 1))
        found[f"{place:2d} {launch.title}"] = round(microseconds / COPIES, 2)
    found["sum"] = round(sum(found.values()), 2)
    return found


def host_side(sizes: Sizes) -> dict[str, Any]:
    """Microseconds that the host is busy with a step of the smallest batch, alone or with others
    in one launch, with graphs and without."""
    batch, found = sizes.batches[0], {}
    for graph in (True, False):
        ops = CupyOps(graph=graph)
        for times in (1, steps_at_once(ops, batch)):
            step = stepper(ops, RECIPES["best"], batch, times)
            step()
            busy = []
            for _ in range(sizes.repeats):
                begun = time.perf_counter()
                step()
                busy.append(time.perf_counter() - begun)
                ops.synchronize()
            title = f"of {times} in a launch{'' if graph else ', without graphs'}"
            found[title] = round(float(np.median(busy)) * 1e6 / times, 1)
    return found


# As in gpu.py; `TIMES` come between its two lists, `MORE_TIMES` last.
TIMES: Sequence[tuple[str, Part, float]] = (
    ("amhcd", amhcd, 150),
    ("speed", speed, 90),
    ("graphs_of_one_kernel", graphs_of_one_kernel, 40),
    ("host_side", host_side, 30),
)
MORE_TIMES: Sequence[tuple[str, Part, float]] = (("kernels", kernels, 40),)
