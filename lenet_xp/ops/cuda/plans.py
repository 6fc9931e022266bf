"""How the work of a stage is cut into blocks and threads on a GPU."""

from dataclasses import dataclass
from functools import cached_property

from lenet_xp.ops.cuda.kernels import LANES, cuts
from lenet_xp.ops.reference import output_size
from lenet_xp.ops.settings import StageSettings

SHARED_BYTES = 48 * 1024  # what every card lends a block
REGISTERS = 128  # numbers that a thread keeps at most without spilling, roughly
MANY_IMAGES = 256  # from here on blocks abound, and threads may do more each
BACKWARD_SLICES = 4
BACKWARD_TILE = 2
SQUARE = 2  # SIDE in stage_backward.cu
MOST_BLOCKS = 2048  # for the sums of the weights' gradient


@dataclass(frozen=True)
class StagePlan:
    """The grids and compile-time sizes of a stage's kernels for one shape of input.

    shape: of x (C, H, W, N). activation, squash: their numbers in common.cu, before the pool and
    after it. The cuts depend on sizes alone, so that sums come out the same on every card.
    """

    shape: tuple[int, int, int, int]
    stage: StageSettings
    activation: int
    squash: int = 0

    @property
    def kernels(self) -> tuple[int, int, int, int]:
        return self.stage.kernels

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of pooling windows."""
        sizes = zip(self.shape[1:3], self.kernels[2:], strict=True)
        rows, cols = (
            output_size(s, k, self.stage.stride, self.stage.padding) // self.stage.pool
            for s, k in sizes
        )
        return rows, cols

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.kernels[0], *self.grid, self.shape[3]

    @property
    def activated_shape(self) -> tuple[int, int, int, int]:
        rows, cols = self.grid
        return self.kernels[0], rows * self.stage.pool, cols * self.stage.pool, self.shape[3]

    @property
    def image_groups(self) -> int:
        return cuts(self.shape[3], LANES)

    @property
    def forward_slices(self) -> int:
        return min(self.kernels[1], 8)

    @property
    def forward_tile(self) -> int:
        return 2 if self.shape[3] <= MANY_IMAGES else 4

    @property
    def forward_grid(self) -> tuple[int, int, int]:
        rows, cols = self.grid
        return rows * cols, cuts(self.kernels[0], self.forward_tile), self.image_groups

    @property
    def chunks(self) -> int:
        """Parts that the sums of the weights' gradient are made in: two windows to a warp, more
        where that would make too many."""
        rows, cols = self.grid
        units = rows * cols * self.image_groups
        most = max(MOST_BLOCKS // self._weight_tiles, 1)
        return max(min(cuts(units, 2 * BACKWARD_SLICES), most), 1)

    @property
    def _weight_tiles(self) -> int:
        return cuts(self.kernels[0], BACKWARD_TILE) * self.kernels[1]

    @property
    def weight_blocks(self) -> int:
        return self.chunks * self._weight_tiles

    @property
    def input_blocks(self) -> int:
        squares = cuts(self.shape[1], SQUARE) * cuts(self.shape[2], SQUARE)
        return squares * cuts(self.kernels[1], BACKWARD_TILE) * self.image_groups

    @property
    def partial_shape(self) -> tuple[int, int]:
        out_channels, channels, height, width = self.kernels
        return self.chunks, out_channels * channels * height * width + out_channels

    def defines(self, tile: int, slices: int) -> dict[str, int]:
        """What the compiler is told."""
        out_channels, channels, kernel_height, kernel_width = self.kernels
        return {
            "CHANNELS": channels,
            "HEIGHT": self.shape[1],
            "WIDTH": self.shape[2],
            "OUT_CHANNELS": out_channels,
            "KERNEL_H": kernel_height,
            "KERNEL_W": kernel_width,
            "STRIDE": self.stage.stride,
            "PADDING": self.stage.padding,
            "POOL": self.stage.pool,
            "ACTIVATION": self.activation,
            "SQUASH": self.squash,
            "TILE": tile,
            "SLICES": slices,
        }

    def fits(self, itemsize: int) -> bool:
        """Whether the kernels have the memory for it that they count on."""
        out_channels, channels, height, width = self.kernels
        kernel, tile = height * width, self.forward_tile
        patch = (height + (self.stage.pool - 1) * self.stage.stride) * (
            width + (self.stage.pool - 1) * self.stage.stride
        )
        forward = tile * channels * kernel + self.forward_slices * tile * self.stage.pool**2 * LANES
        tile = BACKWARD_TILE
        backward = tile * ((kernel + 1) * (LANES + 1) + out_channels * kernel)
        backward += BACKWARD_SLICES * tile * SQUARE**2 * LANES
        shared = max(forward, backward) * itemsize
        return shared <= SHARED_BYTES and patch + tile * (kernel + 1) <= REGISTERS


EDGE = 32  # of the tiles of the weights' gradient in dense.cu
MANY = 256  # images from which on blocks abound, and threads may do more each


@dataclass(frozen=True)
class DensePlan:
    """The grids of a dense layer's kernels for weights (outputs, inputs) and `count` images."""

    outputs: int
    inputs: int
    count: int

    @property
    def tile(self) -> int:
        """Rows to a thread."""
        return 8 if self.count > MANY else 2

    @property
    def forward_grid(self) -> tuple[int, int]:
        return cuts(self.outputs, self.tile), cuts(self.count, LANES)

    @property
    def weight_blocks(self) -> int:
        return cuts(self.outputs, EDGE) * cuts(self.inputs, EDGE)

    @property
    def input_blocks(self) -> int:
        return cuts(self.inputs, self.tile) * cuts(self.count, LANES)
