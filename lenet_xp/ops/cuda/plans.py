"""Splits the work of a stage and of a dense layer into blocks and threads of a GPU.

A thread computes a tile of several outputs, and the warps of a block, its slices, share a long sum.
Plans depend on sizes alone, so that sums are added in the same order on every card.
"""

from functools import cache

from lenet_xp.ops.cuda.kernels import LANES, ceil_div
from lenet_xp.ops.reference import output_size
from lenet_xp.ops.settings import StageSettings

SHARED_BYTES = 48 * 1024  # bytes: shared memory that every card gives a block
MAX_REGISTERS = 128  # numbers: what a thread keeps in registers without spilling, roughly
MANY_IMAGES = 256  # images: above, there are blocks enough, and a thread may compute more
FEW_IMAGES_TILE = 2  # output channels per thread of stage_forward, up to MANY_IMAGES
FORWARD_TILE = 4  # output channels per thread of stage_forward, above MANY_IMAGES
MAX_FORWARD_SLICES = 8  # warps per block of stage_forward
BACKWARD_SLICES = 4  # warps per block of stage_backward
BACKWARD_TILE = 2  # channels per thread of stage_backward
INPUT_SIDE = 2  # pixels: SIDE in stage_backward.cu
MAX_WEIGHT_BLOCKS = 2048  # blocks that sum the gradient of the weights
WEIGHT_EDGE = 32  # entries: EDGE in dense.cu, the side of a tile of the weights' gradient
HEAD_IMAGES = 4  # images: of a block of head.cu


class StagePlan:
    """The arrays, grids and macros of a stage's kernels for an input x of a shape (C, H, W, N).

    activation, squash: their numbers in common.cu. chunks: parts of the sums for the gradient of
    the weights. partial_shape: of those sums. weight_blocks, input_blocks: blocks for the gradients
    of the weights and of the input. below: macros of pool.cu for the kernel that computes dy.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        settings: StageSettings,
        activation: int,
        squash: int = 0,
    ):
        _, height, width, count = shape
        out_channels, channels, kernel_height, kernel_width = settings.kernels
        stride, padding, pool = settings.stride, settings.padding, settings.pool
        rows = output_size(height, kernel_height, stride, padding) // pool
        cols = output_size(width, kernel_width, stride, padding) // pool
        groups = ceil_div(count, LANES)
        tile = FEW_IMAGES_TILE if count <= MANY_IMAGES else FORWARD_TILE
        self.y_shape = out_channels, rows, cols, count
        self.activated_shape = out_channels, rows * pool, cols * pool, count
        self.forward_grid = rows * cols, ceil_div(out_channels, tile), groups
        # A warp sums two windows of the weights' gradient, more where that makes too many blocks.
        weight_tiles = ceil_div(out_channels, BACKWARD_TILE) * channels
        limit = max(MAX_WEIGHT_BLOCKS // weight_tiles, 1)
        self.chunks = max(min(ceil_div(rows * cols * groups, 2 * BACKWARD_SLICES), limit), 1)
        weights = out_channels * (channels * kernel_height * kernel_width + 1)
        self.partial_shape = self.chunks, weights
        self.weight_blocks = self.chunks * weight_tiles
        squares = ceil_div(height, INPUT_SIDE) * ceil_div(width, INPUT_SIDE)
        self.input_blocks = squares * ceil_div(channels, BACKWARD_TILE) * groups
        macros = {
            "CHANNELS": channels,
            "HEIGHT": height,
            "WIDTH": width,
            "OUT_CHANNELS": out_channels,
            "KERNEL_H": kernel_height,
            "KERNEL_W": kernel_width,
            "STRIDE": stride,
            "PADDING": padding,
            "POOL": pool,
            "ACTIVATION": activation,
            "SQUASH": squash,
        }
        functions = {"BELOW_ACTIVATION": activation, "BELOW_SQUASH": squash}
        self.below = {"BELOW_COLS": cols, "BELOW_POOL": pool, **functions}
        slices = min(channels, MAX_FORWARD_SLICES)
        self.forward_defines = macros | {"TILE": tile, "SLICES": slices}
        self.backward_defines = macros | {"TILE": BACKWARD_TILE, "SLICES": BACKWARD_SLICES}


stage_plan = cache(StagePlan)


def stage_fits(settings: StageSettings, itemsize: int) -> bool:
    """Whether a stage's kernels have enough memory and registers; itemsize: bytes per number."""
    out_channels, channels, height, width = settings.kernels
    pool, kernel = settings.pool, height * width
    reach = (pool - 1) * settings.stride
    slices = min(channels, MAX_FORWARD_SLICES)
    forward = FORWARD_TILE * (channels * kernel + slices * pool**2 * LANES)
    backward = (kernel + 1) * (LANES + 1) + out_channels * kernel
    backward = BACKWARD_TILE * (backward + BACKWARD_SLICES * INPUT_SIDE**2 * LANES)
    registers = (height + reach) * (width + reach) + BACKWARD_TILE * (kernel + 1)
    return max(forward, backward) * itemsize <= SHARED_BYTES and registers <= MAX_REGISTERS


class DensePlan:
    """The grids of a dense layer's kernels for weights (outputs, inputs) and `count` images."""

    def __init__(self, shape: tuple[int, int], count: int):
        self.outputs, self.inputs = outputs, inputs = shape
        groups, self.tile = ceil_div(count, LANES), 8 if count > MANY_IMAGES else 2  # rows a thread
        self.forward_grid = ceil_div(outputs, self.tile), groups
        self.weight_blocks = ceil_div(outputs, WEIGHT_EDGE) * ceil_div(inputs, WEIGHT_EDGE)
        self.input_blocks = ceil_div(inputs, self.tile) * groups

    def defines(self, activation: int) -> dict[str, int]:
        """The macros of dense.cu."""
        sizes = {"OUTPUTS": self.outputs, "INPUTS": self.inputs, "TILE": self.tile}
        return {"ACTIVATION": activation, **sizes}
