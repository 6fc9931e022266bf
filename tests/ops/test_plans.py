"""Plans of a GPU's kernels: every output is computed, and a stage that fits does fit."""

from itertools import product

import pytest

from lenet_xp.ops.cuda.plans import DensePlan, stage_fits, stage_plan
from lenet_xp.ops.settings import StageSettings

SHAPES = ((1, 32, 32, 64), (6, 14, 14, 256), (6, 14, 14, 257), (3, 11, 9, 7), (200, 9, 9, 4096))


def fewest(parts: int, each: int) -> int:
    """How many groups of `each` hold so many parts."""
    return len(range(0, parts, each))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "stride", "padding", "pool"), [(5, 1, 0, 2), (3, 2, 1, 3)])
def test_a_stage_is_computed_wholly_and_nothing_twice(shape, kernel, stride, padding, pool):
    channels, height, width, count = shape
    settings = StageSettings((16, channels, kernel, kernel), stride, padding, "tanh", pool)
    plan = stage_plan(shape, settings, 1)
    places = [
        len([at for at in range(-padding, side + padding - kernel + 1, stride)]) // pool
        for side in (height, width)
    ]
    assert plan.y_shape == (16, *places, count)
    assert plan.activated_shape == (16, places[0] * pool, places[1] * pool, count)
    groups = fewest(count, 32)
    tile = plan.forward_defines["TILE"]
    assert tile == (2 if count <= 256 else 4)
    assert plan.forward_grid == (places[0] * places[1], fewest(16, tile), groups)
    assert plan.forward_defines["SLICES"] == min(channels, 8)
    squares = fewest(height, 2) * fewest(width, 2)
    assert plan.input_blocks == squares * fewest(channels, 2) * groups
    # Each chunk has at least one window of a group for a warp, and the blocks stay few.
    assert plan.weight_blocks == plan.chunks * fewest(16, 2) * channels
    assert plan.partial_shape == (plan.chunks, 16 * (channels * kernel * kernel + 1))
    windows = places[0] * places[1] * groups
    assert plan.chunks == 1 or plan.weight_blocks <= 2048
    assert 1 <= plan.chunks <= fewest(windows, 8)
    if plan.chunks < fewest(windows, 8):
        assert (plan.chunks + 1) * fewest(16, 2) * channels > 2048
    for defines in (plan.forward_defines, plan.backward_defines):
        assert [defines[name] for name in ("CHANNELS", "HEIGHT", "WIDTH")] == [*shape[:3]]
        assert (defines["KERNEL_H"], defines["KERNEL_W"]) == (kernel, kernel)
        assert (defines["STRIDE"], defines["PADDING"], defines["POOL"]) == (stride, padding, pool)
        assert (defines["OUT_CHANNELS"], defines["ACTIVATION"], defines["SQUASH"]) == (16, 1, 0)


def shared_numbers(settings):
    """The sizes of the SHARED arrays in stage_forward.cu and in stage_backward.cu."""
    out, channels, high, wide = settings.kernels
    slices, phases = min(channels, 8), settings.pool**2
    forward = 4 * channels * high * wide + 4 * slices * phases * 32
    backward = 2 * (high * wide + 1) * 33 + 2 * out * high * wide + 2 * 4 * 4 * 32
    return max(forward, backward)


def test_a_stage_fits_while_its_arrays_and_a_thread_do():
    verdicts = set()
    for out, channels, kernel, pool, stride, size in product(
        range(6, 500, 13), (1, 6, 30, 60, 120), (3, 5, 7), (2, 3), (1, 2), (4, 8)
    ):
        settings = StageSettings((out, channels, kernel, kernel), stride, 0, "tanh", pool)
        patch = (kernel + (pool - 1) * stride) ** 2
        fits = shared_numbers(settings) * size <= 48 * 1024
        fits &= patch + 2 * (kernel * kernel + 1) <= 128
        assert stage_fits(settings, size) == fits
        verdicts.add((fits, shared_numbers(settings) * size <= 48 * 1024))
    assert len(verdicts) == 3  # each limit alone refuses some


@pytest.mark.parametrize("count", [1, 32, 33, 256, 257, 4096])
@pytest.mark.parametrize(("outputs", "inputs"), [(10, 84), (33, 32), (120, 400), (1, 1)])
def test_a_dense_layer_is_computed_wholly(outputs, inputs, count):
    plan = DensePlan((outputs, inputs), count)
    rows = 2 if count <= 256 else 8
    assert plan.tile == rows
    assert plan.forward_grid == (fewest(outputs, rows), fewest(count, 32))
    assert plan.weight_blocks == fewest(outputs, 32) * fewest(inputs, 32)
    assert plan.input_blocks == fewest(inputs, rows) * fewest(count, 32)
