"""What a GPU could do at most: its peaks, from what the device says of itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet_xp.ops import Ops

# CUDA's numbers of device attributes; CUDA 13 has dropped two of them from the properties
MULTIPROCESSORS, CLOCK, MEMORY_CLOCK, BUS_WIDTH = 16, 13, 36, 37
LANES = {7: 64}  # float32 lanes of a multiprocessor by the major compute capability ...
LANES_OF = {(8, 0): 64}  # ... or by the whole of it
USUAL_LANES = 128


@dataclass(frozen=True)
class Peaks:
    """Float32 operations and bytes of memory traffic, both a second."""

    flops: float
    bandwidth: float

    def floor(self, flops: float, traffic: float) -> float:
        """Seconds that so many operations, and bytes beside them, take at least."""
        return max(flops / self.flops, traffic / self.bandwidth)


def card(ops: Ops) -> dict[str, Any]:
    """The card, its driver and the libraries, and the peaks that follow from its clocks."""
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
    """Clock x multiprocessors x lanes x 2 for a multiply-add; memory clock x 2 x bus width."""
    runtime = ops.xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    capability = properties["major"], properties["minor"]
    lanes = LANES_OF.get(capability, LANES.get(capability[0], USUAL_LANES))
    clock, memory_clock = (1e3 * _attribute(ops, each) for each in (CLOCK, MEMORY_CLOCK))
    return Peaks(
        flops=2 * clock * lanes * _attribute(ops, MULTIPROCESSORS),
        bandwidth=2 * memory_clock * _attribute(ops, BUS_WIDTH) / 8,
    )


def _attribute(ops: Ops, number: int) -> int:
    runtime = ops.xp.cuda.runtime
    return int(runtime.deviceGetAttribute(number, runtime.getDevice()))
