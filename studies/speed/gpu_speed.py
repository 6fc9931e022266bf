"""The GPU benchmark: training steps and reading, beside PyTorch and the peaks of the card."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lenet_xp import __version__
from lenet_xp.ops import Ops, get_ops
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.training.recipes import CLASSIC
from studies.speed import gpu_ours, gpu_peers, peers
from studies.speed.cpu import INFERENCE_FLOPS, TRAINING_FLOPS
from studies.speed.gpu_card import card, peaks
from studies.speed.measure import Contender, Timing, take_turns

EPOCH = 20_592  # images of AMHCD's training part
OURS = "lenet_xp"


def run_gpu_benchmark(
    batches: tuple[int, ...],
    turns: int,
    seconds: float,
    log: Callable[[str], None],
    compiled: bool = True,
    epoch: int = EPOCH,
) -> dict[str, Any]:
    """Time training and reading at every batch size, a whole epoch, and the answer to one image.

    turns: of each contender. seconds: length of a turn. log: is called with a line after each
    measurement. compiled: whether compiled PyTorch takes part. epoch: images of the whole epoch.
    Raises BackendUnavailable without a GPU.
    """
    ops = get_ops("cupy")
    absent: dict[str, str] = {}
    reason = gpu_peers.missing()
    if reason is None:
        gpu_peers.set_precision()
    else:
        absent["PyTorch"] = reason
        log(f"not taking part: PyTorch ({reason})")
    record: dict[str, Any] = {
        "lenet_xp": __version__,
        "git_commit": git_commit(),
        "card": card(ops),
        "versions": versions() | peers.versions(),
        "turns": turns,
        "seconds_a_turn": seconds,
        "training_flops": TRAINING_FLOPS,
        "inference_flops": INFERENCE_FLOPS,
        "training": [],
        "inference": [],
        "absent": absent,
    }
    for kind in ("training", "inference"):
        for batch in batches:
            contenders = _contenders(ops, kind, batch, compiled, absent, log)
            row = _row(ops, kind, batch, take_turns(contenders, turns, seconds))
            record[kind].append(row)
            log(_line(kind, row))
    record["epoch"] = _epoch(ops, epoch)
    log(f"an epoch of {epoch:,} images: {record['epoch']['milliseconds']:.1f} ms")
    record["one_image"] = _one_image(ops, turns, seconds, absent)
    log(f"one image: {record['one_image'][OURS]['microseconds']:.1f} us")
    return record


def _contenders(
    ops: Ops,
    kind: str,
    batch: int,
    compiled: bool,
    absent: dict[str, str],
    log: Callable[[str], None],
) -> dict[str, Contender]:
    training = kind == "training"
    ours = gpu_ours.train_contender(ops, CLASSIC, batch) if training else None
    found = {OURS: ours or gpu_ours.read_contender(ops, batch)}
    if "PyTorch" not in absent:
        theirs, failed = gpu_peers.contenders(training, batch, compiled)
        found |= theirs
        for name, reason in failed.items():
            absent[f"{kind}: {name}"] = reason
            log(f"not taking part in {kind}: {name} ({reason})")
    return found


def _row(ops: Ops, kind: str, batch: int, timings: dict[str, Timing]) -> dict[str, Any]:
    plain = get_ops("cupy", graph=False)
    training = kind == "training"
    launches = (
        gpu_ours.launches_of_a_step(plain, CLASSIC, batch)
        if training
        else gpu_ours.launches_of_reading(plain, batch)
    )
    flops = batch * (TRAINING_FLOPS if training else INFERENCE_FLOPS)
    traffic, best = sum(each.traffic for each in launches), peaks(ops)
    ours = timings[OURS]
    seconds = batch / ours.rate
    return {
        "batch": batch,
        "kernels": len(launches),
        "batches_a_launch": round(ours.items / batch),
        "flops": flops,
        "bytes": traffic,
        "floor_microseconds": 1e6 * best.floor(flops, traffic),
        "share_of_floor": best.floor(flops, traffic) / seconds,
        "share_of_bandwidth": traffic / seconds / best.bandwidth,
        "share_of_arithmetic": flops / seconds / best.flops,
        "contenders": {name: _entry(each, ours, batch) for name, each in timings.items()},
    }


def _entry(timing: Timing, ours: Timing, batch: int) -> dict[str, Any]:
    return {
        "microseconds": 1e6 * batch / timing.rate,
        "spread": timing.spread,
        "images_per_second": timing.rate,
        "lenet_xp_is_faster_by": ours.rate / timing.rate,
    }


def _epoch(ops: Ops, images: int) -> dict[str, Any]:
    """The record of epochs of `fit`; its time is the median of those after the first."""
    seconds = gpu_ours.epoch_seconds(ops, CLASSIC, images)
    median = 1e3 * float(np.median(seconds[1:]))
    return {
        "images": images,
        "batch": CLASSIC.batch_size,
        "seconds": seconds,
        "milliseconds": median,
    }


def _one_image(
    ops: Ops, turns: int, seconds: float, absent: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """The record of the answer to one image, from bytes to probabilities on the host."""
    contenders = {OURS: gpu_ours.answer_contender(ops, 1)}
    if "PyTorch" not in absent:
        contenders["PyTorch eager"] = gpu_peers.answer()
    timings = take_turns(contenders, turns, seconds)
    return {name: _entry(each, timings[OURS], 1) for name, each in timings.items()}


def _line(kind: str, row: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{name} {entry['microseconds']:.1f}" for name, entry in row["contenders"].items()
    )
    return f"{kind}, batch {row['batch']}: us {figures}; {row['share_of_floor']:.0%} of the floor"
