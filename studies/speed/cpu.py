"""The CPU benchmark: every contender at every batch size, beside the peak of the machine."""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from lenet_xp import __version__
from lenet_xp.system.environment import cpu_name, git_commit, versions
from lenet_xp.training.recipes import BEST
from studies.speed import ours, peers
from studies.speed.measure import Contender, Timing, take_turns

# Multiply-adds of one image. Training takes as many again for the gradients of the weights, and of
# the inputs of every layer except the first.
FORWARD = 6 * 25 * 784 + 16 * 150 * 100 + 400 * 120 + 120 * 84 + 84 * 33
TRAINING_FLOPS = 2 * (3 * FORWARD - 6 * 25 * 784)
INFERENCE_FLOPS = 2 * FORWARD
SPIN_SECONDS = 0.5  # longer than OpenBLAS's threads spin before they sleep
REST = 0.2  # seconds: after a turn; ONNX Runtime's threads spin for some hundredths of a second
MATRIX = 1024  # rows and columns of the matrices whose product measures the peak


def run_benchmark(
    threads: int,
    train_batches: tuple[int, ...],
    read_batches: tuple[int, ...],
    turns: int,
    seconds: float,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Time everything and return a record with versions, timings, ratios and the floor.

    turns: of each contender at each batch size. seconds: length of a turn. log: is called with a
    line after each measurement.
    """
    absent = peers.missing()
    for name, reason in absent.items():
        log(f"not taking part: {name} ({reason})")
    torch_threads = None if "PyTorch" in absent else peers.best_torch_threads(threads)
    record: dict[str, Any] = {
        "lenet_xp": __version__,
        "git_commit": git_commit(),
        "cpu": cpu_name(),
        "system": platform.platform(),
        "threads": threads,
        "torch_threads": torch_threads,
        "blas": _blas(),
        "versions": versions() | peers.versions(),
        "absent": absent,
        "turns": turns,
        "seconds_a_turn": seconds,
        "training_flops": TRAINING_FLOPS,
        "inference_flops": INFERENCE_FLOPS,
        "training": [],
        "inference": [],
    }
    for batch in train_batches:
        record["training"].append(_one(_training, batch, threads, absent, turns, seconds))
        log(_line("training", record["training"][-1]))
    for batch in read_batches:
        record["inference"].append(_one(_inference, batch, threads, absent, turns, seconds))
        log(_line("inference", record["inference"][-1]))
    record["pipeline"] = _pipeline(threads, turns)
    log(f"distorted batches cost {record['pipeline']['distorted_over_plain']:.2f}x the time")
    return record


def _pipeline(threads: int, turns: int) -> dict[str, Any]:
    """The times of an epoch with and without distortion of its images."""
    with ExitStack() as stack:
        timings = take_turns(
            {
                "plain": ours.epoch(stack, threads, None),
                "distorted": ours.epoch(stack, threads, BEST.distortion),
            },
            turns,
            seconds=0.0,
        )
    plain, distorted = timings["plain"], timings["distorted"]
    return {
        "plain_images_per_second": plain.rate,
        "distorted_images_per_second": distorted.rate,
        "distorted_over_plain": distorted.median / plain.median,
    }


def _training(
    stack: ExitStack, batch: int, threads: int, absent: dict[str, Any]
) -> dict[str, Contender]:
    contenders = {
        "lenet_xp": ours.train_step(stack, batch, threads),
        "lenet_xp, 1 thread": ours.train_step(stack, batch, 1),
        "textbook NumPy": ours.textbook_step(batch),
    }
    if "PyTorch" not in absent:
        contenders["PyTorch eager"] = peers.torch_step(batch, compiled=False)
        contenders["PyTorch compiled"] = peers.torch_step(batch, compiled=True)
    if "JAX" not in absent:
        contenders["JAX compiled"] = peers.jax_step(batch)
    return contenders


def _inference(
    stack: ExitStack, batch: int, threads: int, absent: dict[str, Any]
) -> dict[str, Contender]:
    contenders = {"lenet_xp": ours.inference(stack, batch, threads)}
    if "PyTorch" not in absent:
        contenders["PyTorch eager"] = peers.torch_inference(batch)
    if "JAX" not in absent:
        contenders["JAX compiled"] = peers.jax_inference(batch)
    if not {"ONNX Runtime", "onnx"} & set(absent):
        contenders["ONNX Runtime"] = peers.onnx_inference(batch, threads)
    return contenders


def _one(
    make: Callable[[ExitStack, int, int, dict[str, Any]], dict[str, Contender]],
    batch: int,
    threads: int,
    absent: dict[str, Any],
    turns: int,
    seconds: float,
) -> dict[str, Any]:
    with ExitStack() as stack:
        contenders = make(stack, batch, threads, absent)
        contenders["sgemm peak"] = _peak(threads)
        timings = take_turns(contenders, turns, seconds, min(REST, seconds))
    peak = timings.pop("sgemm peak").rate
    flops = TRAINING_FLOPS if make is _training else INFERENCE_FLOPS
    first = timings["lenet_xp"]
    return {
        "batch": batch,
        "sgemm_gflops": peak / 1e9,
        "floor_images_per_second": peak / flops,
        "share_of_floor": first.rate * flops / peak,
        "contenders": {name: _entry(timing, first) for name, timing in timings.items()},
    }


def _entry(timing: Timing, first: Timing) -> dict[str, Any]:
    return {
        "milliseconds": 1e3 * timing.median,
        "spread": timing.spread,
        "images_per_second": timing.rate,
        "lenet_xp_is_faster_by": timing.median / first.median,
    }


def _peak(threads: int) -> Contender:
    """The matrix library alone, on all the cores that the others may use."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((MATRIX, MATRIX), np.float32) for _ in range(2))
    product = partial(np.matmul, a, b, out=np.empty_like(a))
    return Contender(product, 2 * MATRIX**3, partial(_awake, threads))


@contextmanager
def _awake(threads: int) -> Iterator[None]:
    """Give the library all its threads, which standing workers limit to one; then let them sleep.

    OpenBLAS's threads spin for a while after a product, and would share the cores with the next
    contender.
    """
    with threadpool_limits(threads, user_api="blas"):
        yield
    time.sleep(SPIN_SECONDS)


def _blas() -> list[dict[str, Any]]:
    keys = ("internal_api", "version", "architecture", "num_threads")
    return [
        {key: library.get(key) for key in keys}
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


def _line(kind: str, row: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{name} {entry['images_per_second']:,.0f}" for name, entry in row["contenders"].items()
    )
    return f"{kind}, batch {row['batch']}: images/s {figures}; {row['share_of_floor']:.0%} of sgemm"
