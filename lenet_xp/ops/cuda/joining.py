"""Joins launches of a captured computation that follow one another: fewer kernels, the same bits.

A joint kernel takes the arguments of all its parts, one after the other, and their macros, numbered
where two have the same. It adds up what they add up, in their order.
"""

from collections.abc import Sequence
from typing import Any

from lenet_xp.ops.cuda.kernels import NULL, Launch, ceil_div
from lenet_xp.ops.cuda.plans import HEAD_IMAGES, MANY_IMAGES, SHARED_BYTES

HEAD = (
    ["dense_forward"] * 2 + ["softmax_cross_entropy"] + ["dense_backward"] * 3 + ["stage_gradient"]
)
DX = {"stage_backward": 4, "dense_backward": 6}  # its place among the arguments


def joined(launches: list[Launch]) -> list[Launch]:
    """As few launches as do the same."""
    kept: list[Launch] = []
    for each in launches:
        kept.append(each)
        _head(kept)
        _before_activation(kept)
        _sums(kept)
    return kept


def _joint(file: str, name: str, parts: Sequence[Launch], blocks: int) -> Launch:
    """The launch of a joint kernel, with the first part's threads."""
    defines: dict[str, int] = {}
    for k, part in enumerate(parts):
        defines |= {f"{n}{k}" if n in defines else n: v for n, v in part.defines.items()}
    arguments = tuple(a for part in parts for a in part.arguments)
    return Launch(file, name, (blocks,), parts[0].block, arguments, defines)


def _same(a: Any, b: Any) -> bool:
    """Whether two arguments are one array."""
    return a is not NULL and b is not NULL and bool(a.data.ptr == b.data.ptr and a.size == b.size)


def _head(kept: list[Launch]) -> None:
    """The end of a network on a stage, three dense layers and the loss: two launches.

    All from the second dense layer to its input's gradient; then the first one's, with all
    gradients of weights.
    """
    parts = kept[-7:]
    if [each.name for each in parts] != HEAD:
        return
    second, third, loss, back3, back2, back1, dz = (each.arguments for each in parts)
    links = [(second[3], third[1]), (third[3], loss[0]), (loss[5], back3[0]), (back3[6], back2[0])]
    links += [(back2[6], back1[0]), (back1[6], dz[0]), (third[0], back3[3]), (second[0], back2[3])]
    links += [(third[3], back3[1]), (second[3], back2[1])]
    layers = [parts[k].defines for k in (0, 1, 3, 4)]  # sizes and activations
    (classes, hidden), inputs, count = third[0].shape, second[0].shape[1], second[4]
    numbers = inputs + hidden + 2 * classes + 8 * max(inputs, hidden, classes)  # in shared memory
    size = HEAD_IMAGES * numbers * third[0].itemsize
    fits = size <= SHARED_BYTES and count <= MANY_IMAGES and layers == layers[::-1]
    if not fits or not all(_same(a, b) for a, b in links):
        return
    blocks = parts[5].grid[0] + back3[7] + back2[7]
    kept[-7:] = [
        _joint("head", "head", parts[:5], ceil_div(count, HEAD_IMAGES)),
        _joint("dense_gradients", "dense_gradients", [*parts[:2:-1][1:], parts[6]], blocks),
    ]


def _before_activation(kept: list[Launch]) -> None:
    """A stage's gradient before its activation is left by the kernel that computes its dy."""
    place = -3 if [each.name for each in kept[-2:-1]] == ["sum_partials"] else -2
    if kept[-1].name != "stage_gradient" or len(kept) < -place:
        return
    maker, last = kept[place], kept[-1]
    if maker.name in DX and _same(maker.arguments[DX[maker.name]], last.arguments[0]):
        name = f"{maker.name}_below"
        kept[place] = _joint(maker.file, name, (maker, last), maker.grid[0])
        kept.pop()


def _sums(kept: list[Launch]) -> None:
    """The sums of two stages over their chunks are added up by the update that reads them."""
    names = [each.name for each in kept[-4:-1]]
    if kept[-1].file != "updates" or names != ["sum_partials", "stage_backward", "sum_partials"]:
        return
    first, back, second, update = kept[-4:]
    gradient = update.arguments[1]
    for each in (*first.arguments[1:3], *second.arguments[1:3]):
        place = each.data.ptr - gradient.data.ptr
        if not 0 <= place <= gradient.nbytes - each.nbytes:
            return
    parts = update, first, second
    blocks = sum(each.grid[0] for each in parts)
    kept[-4:] = [back, _joint("updates", f"{update.name}_sums", parts, blocks)]
