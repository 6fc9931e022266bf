"""The peaks of a GPU, computed from the attributes that the device reports."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_xp.ops import Ops

# CUDA's numbers of device attributes; CUDA 13 dropped two of them from the properties.
MULTIPROCESSORS, CLOCK, MEMORY_CLOCK, BUS_WIDTH = 16, 13, 36, 37
LANES_OF_MAJOR = {7: 64}  # major compute capability: float32 lanes of a multiprocessor
LANES_OF = {(8, 0): 64}  # compute capability: float32 lanes, where the major one does not decide
USUAL_LANES = 128  # float32 lanes of all other multiprocessors


@dataclass(frozen=True)
class Peaks:
    """Peak rates per second. flops: float32 operations. bandwidth: bytes of memory traffic."""

    flops: float
    bandwidth: float

    def floor(self, flops: float, traffic: float) -> float:
        """Return the least seconds for these operations and bytes, which overlap."""
        return max(flops / self.flops, traffic / self.bandwidth)


def card(ops: Ops) -> dict[str, Any]:
    """Return the card, its driver, the libraries and the peaks that follow from its clocks."""
    cupy, runtime = ops.xp, ops.xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    free, total = runtime.memGetInfo()
    best = peaks(ops)
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": _attribute(ops, MULTIPROCESSORS),
        "clock_mhz": _attribute(ops, CLOCK) / 1e3,
        "memory_clock_mhz": _attribute(ops, MEMORY_CLOCK) / 1e3,
        "bus_bits": _attribute(ops, BUS_WIDTH),
        "float32_peak_tflops": best.flops / 1e12,
        "bandwidth_peak_gb_per_second": best.bandwidth / 1e9,
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "nvrtc": cupy.cuda.nvrtc.getVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "memory_free": free,
        "memory_total": total,
    }


def peaks(ops: Ops) -> Peaks:
    """Return the peaks: clock x multiprocessors x lanes x 2; memory clock x 2 x bus width."""
    runtime = ops.xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    capability = properties["major"], properties["minor"]
    lanes = LANES_OF.get(capability, LANES_OF_MAJOR.get(capability[0], USUAL_LANES))
    clock, memory_clock = (1e3 * _attribute(ops, each) for each in (CLOCK, MEMORY_CLOCK))
    return Peaks(
        flops=2 * clock * lanes * _attribute(ops, MULTIPROCESSORS),
        bandwidth=2 * memory_clock * _attribute(ops, BUS_WIDTH) / 8,
    )


def _attribute(ops: Ops, number: int) -> int:
    runtime = ops.xp.cuda.runtime
    return int(runtime.deviceGetAttribute(number, runtime.getDevice()))
