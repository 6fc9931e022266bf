"""Splits the work of a stage and of a dense layer into blocks and threads of a GPU.

A plan gives the grids of the kernels and the macros that they are compiled with. A thread computes
a tile of several outputs, and the warps of a block, its slices, share a long sum. Plans depend on
sizes alone, so that sums are added in the same order on every card.
"""

from dataclasses import dataclass
from functools import cached_property

from lenet_xp.ops.cuda.kernels import LANES, ceil_div
from lenet_xp.ops.reference import output_size
from lenet_xp.ops.settings import StageSettings

SHARED_BYTES = 48 * 1024  # bytes: shared memory that every card gives a block
MAX_REGISTERS = 128  # numbers: what a thread keeps in registers without spilling, roughly
MANY_IMAGES = 256  # images: above, there are blocks enough, and a thread may compute more
MAX_FORWARD_SLICES = 8  # warps per block of stage_forward
BACKWARD_SLICES = 4  # warps per block of stage_backward
BACKWARD_TILE = 2  # channels per thread of stage_backward
INPUT_SIDE = 2  # pixels: SIDE in stage_backward.cu
MAX_WEIGHT_BLOCKS = 2048  # blocks that sum the gradient of the weights
WEIGHT_EDGE = 32  # entries: EDGE in dense.cu, the side of a tile of the weights' gradient


@dataclass(frozen=True)
class StagePlan:
    """The grids and macros of a stage's kernels for one shape of input.

    shape: of x (C, H, W, N). activation, squash: their numbers in common.cu.
    """

    shape: tuple[int, int, int, int]
    settings: StageSettings
    activation: int
    squash: int = 0

    @property
    def kernels(self) -> tuple[int, int, int, int]:
        return self.settings.kernels

    @cached_property
    def windows(self) -> tuple[int, int]:
        """Rows and columns of pooling windows."""
        stride, padding, pool = self.settings.stride, self.settings.padding, self.settings.pool
        sizes = zip(self.shape[1:3], self.kernels[2:], strict=True)
        rows, cols = (output_size(s, k, stride, padding) // pool for s, k in sizes)
        return rows, cols

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.kernels[0], *self.windows, self.shape[3]

    @property
    def activated_shape(self) -> tuple[int, int, int, int]:
        rows, cols = self.windows
        return self.kernels[0], rows * self.settings.pool, cols * self.settings.pool, self.shape[3]

    @property
    def image_groups(self) -> int:
        return ceil_div(self.shape[3], LANES)

    @property
    def forward_slices(self) -> int:
        return min(self.kernels[1], MAX_FORWARD_SLICES)

    @property
    def forward_tile(self) -> int:
        """Output channels per thread."""
        return 2 if self.shape[3] <= MANY_IMAGES else 4

    @property
    def forward_grid(self) -> tuple[int, int, int]:
        rows, cols = self.windows
        return rows * cols, ceil_div(self.kernels[0], self.forward_tile), self.image_groups

    @property
    def chunks(self) -> int:
        """Parts of the sums for the gradient of the weights.

        A warp sums two windows, and more where that would make too many blocks.
        """
        rows, cols = self.windows
        units = rows * cols * self.image_groups
        limit = max(MAX_WEIGHT_BLOCKS // self._weight_tiles, 1)
        return max(min(ceil_div(units, 2 * BACKWARD_SLICES), limit), 1)

    @property
    def _weight_tiles(self) -> int:
        return ceil_div(self.kernels[0], BACKWARD_TILE) * self.kernels[1]

    @property
    def weight_blocks(self) -> int:
        return self.chunks * self._weight_tiles

    @property
    def input_blocks(self) -> int:
        squares = ceil_div(self.shape[1], INPUT_SIDE) * ceil_div(self.shape[2], INPUT_SIDE)
        return squares * ceil_div(self.kernels[1], BACKWARD_TILE) * self.image_groups

    @property
    def partial_shape(self) -> tuple[int, int]:
        out_channels, channels, height, width = self.kernels
        return self.chunks, out_channels * channels * height * width + out_channels

    @property
    def forward_defines(self) -> dict[str, int]:
        return self._defines(self.forward_tile, self.forward_slices)

    @property
    def backward_defines(self) -> dict[str, int]:
        return self._defines(BACKWARD_TILE, BACKWARD_SLICES)

    def _defines(self, tile: int, slices: int) -> dict[str, int]:
        """The macros that stage.cu lists."""
        out_channels, channels, kernel_height, kernel_width = self.kernels
        return {
            "CHANNELS": channels,
            "HEIGHT": self.shape[1],
            "WIDTH": self.shape[2],
            "OUT_CHANNELS": out_channels,
            "KERNEL_H": kernel_height,
            "KERNEL_W": kernel_width,
            "STRIDE": self.settings.stride,
            "PADDING": self.settings.padding,
            "POOL": self.settings.pool,
            "ACTIVATION": self.activation,
            "SQUASH": self.squash,
            "TILE": tile,
            "SLICES": slices,
        }

    def fits(self, itemsize: int) -> bool:
        """Whether the kernels have enough shared memory and registers; itemsize in bytes."""
        out_channels, channels, height, width = self.kernels
        pool, kernel = self.settings.pool, height * width
        reach = (pool - 1) * self.settings.stride
        patch = (height + reach) * (width + reach)
        forward = self.forward_tile * (channels * kernel + self.forward_slices * pool**2 * LANES)
        backward = (kernel + 1) * (LANES + 1) + out_channels * kernel
        backward = BACKWARD_TILE * (backward + BACKWARD_SLICES * INPUT_SIDE**2 * LANES)
        registers = patch + BACKWARD_TILE * (kernel + 1)
        return max(forward, backward) * itemsize <= SHARED_BYTES and registers <= MAX_REGISTERS


@dataclass(frozen=True)
class DensePlan:
    """The grids of a dense layer's kernels for weights (outputs, inputs) and `count` images."""

    outputs: int
    inputs: int
    count: int

    @property
    def tile(self) -> int:
        """Rows per thread."""
        return 8 if self.count > MANY_IMAGES else 2

    @property
    def forward_grid(self) -> tuple[int, int]:
        return ceil_div(self.outputs, self.tile), ceil_div(self.count, LANES)

    @property
    def weight_blocks(self) -> int:
        return ceil_div(self.outputs, WEIGHT_EDGE) * ceil_div(self.inputs, WEIGHT_EDGE)

    @property
    def input_blocks(self) -> int:
        return ceil_div(self.inputs, self.tile) * ceil_div(self.count, LANES)
