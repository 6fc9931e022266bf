"""How work is cut for tensor cores, and which stages are worth it.

Of LeNet-5's multiply-adds C3 has 63 %, C1 21 % and the dense layers 16 %. C3 fills its tiles to
three quarters and the dense layers to 69 to 94 %; C1, with one input channel, would fill an eighth
of a tile's depth and gain nothing.
"""

from typing import Any, ClassVar

from lenet_xp.ops.dense_plan import MANY, DensePlan
from lenet_xp.ops.kernels import cuts
from lenet_xp.ops.stage_plan import (
    BACKWARD_SLICES,
    MANY_IMAGES,
    MOST_BLOCKS,
    SHARED_BYTES,
    SQUARE,
    StagePlan,
)

HIGH, WIDE, DEEP = 16, 8, 8  # of the tiles in tensor.cu
WORTH_IT = 0.5  # the share of a tile that must be of use
MOST_SUMS = 128  # of a thread's registers, beside what they are made of


class TensorDensePlan(DensePlan):
    """The grids of dense_tf32.cu; a tile is WIDE columns of a warp's sums."""

    file: ClassVar[str] = "dense_tf32"

    @property
    def tile(self) -> int:
        return 4 if self.count > MANY else 1

    @property
    def forward_grid(self) -> tuple[int, int]:
        return cuts(self.outputs, HIGH), cuts(self.count, self.tile * WIDE)

    @property
    def weight_blocks(self) -> int:
        return cuts(self.outputs, HIGH) * cuts(self.inputs + 1, self.tile * WIDE)

    @property
    def input_blocks(self) -> int:
        return cuts(self.inputs, HIGH) * cuts(self.count, self.tile * WIDE)


class TensorStagePlan(StagePlan):
    """The grids of stage_forward_tf32.cu and stage_backward_tf32.cu."""

    files: ClassVar[tuple[str, str]] = ("stage_forward_tf32", "stage_backward_tf32")

    @property
    def forward_tile(self) -> int:
        """Groups of WIDE images to a warp."""
        return 1 if self.shape[3] <= MANY_IMAGES else 4

    @property
    def forward_slices(self) -> int:
        return min(self._patch[0], 6 if self.forward_tile == 1 else 3)

    @property
    def forward_grid(self) -> tuple[int, int, int]:
        rows, cols = self.grid
        groups = cuts(self.shape[3], self.forward_tile * WIDE)
        return rows * cols, cuts(self.kernels[0], HIGH), groups

    @property
    def chunks(self) -> int:
        """One window of DEEP images to a warp, more where that would make too many."""
        rows, cols = self.grid
        units = rows * cols * cuts(self.shape[3], DEEP)
        most = max(MOST_BLOCKS // (8 * self._weight_tiles), 1)
        return max(min(cuts(units, BACKWARD_SLICES), most), 1)

    @property
    def _weight_tiles(self) -> int:
        return cuts(self.kernels[0], HIGH) * cuts(self.kernels[1], WIDE)

    @property
    def input_blocks(self) -> int:
        squares = cuts(self.shape[1], SQUARE) * cuts(self.shape[2], SQUARE)
        return squares * cuts(self.kernels[1], WIDE) * cuts(self.shape[3], HIGH)

    @property
    def _patch(self) -> tuple[int, int]:
        """Pixels that feed one window."""
        height, width = self.kernels[2:]
        reach = (self.pool - 1) * self.stride
        return height + reach, width + reach

    @property
    def pays(self) -> bool:
        """Whether enough of what the tensor cores multiply is of use."""
        out_channels, channels = self.kernels[:2]
        use = out_channels / (cuts(out_channels, HIGH) * HIGH)
        return use * channels / (cuts(channels, DEEP) * DEEP) >= WORTH_IT

    def fits(self, itemsize: int) -> bool:
        out_channels, channels, height, width = self.kernels
        kernel, phases = height * width, self.pool**2
        parts = self.forward_slices * phases * HIGH * WIDE * self.forward_tile
        forward = kernel * channels * (HIGH + 8) + parts
        backward = (kernel + 1) * HIGH * WIDE + kernel * out_channels * WIDE
        backward += BACKWARD_SLICES * SQUARE**2 * HIGH * WIDE
        sums = max(4 * (kernel + 1), 4 * phases * self.forward_tile)
        return max(forward, backward) * itemsize <= SHARED_BYTES and sums <= MOST_SUMS


def dense_plan(tf32: bool, outputs: int, inputs: int, count: int) -> DensePlan:
    return (TensorDensePlan if tf32 else DensePlan)(outputs, inputs, count)


def stage_plan(tf32: bool, *sizes: Any) -> StagePlan:
    """The plan for the sizes that `StagePlan` takes: for tensor cores if asked for and worth it."""
    plan = TensorStagePlan(*sizes)
    return plan if tf32 and plan.pays and plan.fits(4) else StagePlan(*sizes)
