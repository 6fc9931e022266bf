"""Times on a GPU: the real data, whole steps beside PyTorch, and each kernel of a step."""

import sys
import time
from typing import Any

import numpy as np

from lenet_xp.errors import InputError
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.training.batches import epoch_batches, steps_at_once
from lenet_xp.training.recipes import BEST
from studies.speed import gpu_amhcd
from studies.speed.gpu import RECIPES, Sizes, so_far
from studies.speed.gpu_ours import device_clock, launches_of_a_step, stepper
from studies.speed.gpu_speed import run_gpu_benchmark
from studies.speed.gpu_table import amhcd_lines, gpu_table
from studies.speed.ours import random_batch

COPIES = 20  # of one launch in a graph
RACE_SECONDS = 25  # time limit of the race in a process of its own


def amhcd(sizes: Sizes) -> dict[str, Any]:
    """Train on AMHCD: epochs of `classic`, the race to 97.13 %, 60 epochs of `best`."""
    if sizes.amhcd is None:
        return {"left out": "give the archive with --amhcd"}
    found = gpu_amhcd.measure(sizes.amhcd, CupyOps(), keep=so_far)
    try:
        found["cold"] = gpu_amhcd.cold_race(sizes.amhcd, RACE_SECONDS)
    except InputError as error:
        found["no cold race"] = str(error)
    return found | {"text": amhcd_lines(found)}


def speed(sizes: Sizes) -> dict[str, Any]:
    """Measure less than `python -m studies.speed --gpu` does, without compiled PyTorch."""
    record = run_gpu_benchmark(
        sizes.batches,
        sizes.turns,
        sizes.seconds,
        lambda line: print(line, file=sys.stderr, flush=True),  # counts if the time is over
        compiled=False,
        epoch=sizes.epoch,
    )
    return record | {"text": gpu_table(record).splitlines()}


def kernels(sizes: Sizes) -> dict[str, Any]:
    """Time each launch of a step alone, in order: microseconds on the device.

    Values near the time of a launch from the host (about 5) show that time.
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
    """Time each launch of a `best` step in a graph of its copies: microseconds without the host.

    The batch is the smallest.
    """
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
    """Time the host's part of a step: microseconds, by steps per launch, with and without graphs.

    The batch is the smallest. The maps that distort a batch of 64 are drawn before, by a thread.
    """
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
    given, rng = random_batch(sizes.epoch), np.random.default_rng(0)
    begun = time.perf_counter()
    steps = sum(1 for _ in epoch_batches(*given, 64, rng, BEST.distortion, on_device=True))
    found["drawing 64 maps"] = round((time.perf_counter() - begun) * 1e6 / steps, 1)
    return found
