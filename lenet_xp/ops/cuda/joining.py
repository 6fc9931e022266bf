"""Joins launches of a captured computation that follow one another: fewer kernels, the same bits.

A rule looks at the last launches. It knows their arguments by place, as the `.cu` files have them.
A joined kernel adds up what its parts add up, in their order.
"""

from typing import Any

from lenet_xp.ops.cuda.kernels import LANES, NULL, Launch, ceil_div
from lenet_xp.ops.cuda.plans import HEAD_IMAGES, MANY_IMAGES, SHARED_BYTES, head_numbers

NO_JOBS: tuple[Any, ...] = (*(NULL,) * 5, 0, 0, 0) * 2  # of dense_backward, besides its own
JOB = len(NO_JOBS) // 2  # arguments
NO_SUMS: tuple[Any, ...] = (NULL, 0, 0, 0) * 2  # of an update
DX = {"stage_backward": 4, "dense_backward": 6}  # the place of dx; pool.cu's arrays follow
JOBS = 10  # their place in dense_backward's arguments
QUIET = {*DX, "stage_gradient", "sum_partials", "head"}  # they read no gradient of a parameter
HEAD = ["dense_forward"] * 2 + ["softmax_cross_entropy"] + ["dense_backward"] * 2


def joined(launches: list[Launch]) -> list[Launch]:
    """As few launches as do the same."""
    kept: list[Launch] = []
    for each in launches:
        kept.append(each)
        for rule in (_head, _weight_gradients, _before_activation, _sums):
            rule(kept)
    return kept


def _same(a: Any, b: Any) -> bool:
    """Whether two arguments are one array."""
    return a is not NULL and b is not NULL and bool(a.data.ptr == b.data.ptr and a.size == b.size)


def _head(kept: list[Launch]) -> None:
    """Two dense layers, the loss and their inputs' gradients: one launch for all of it.

    The gradients of the weights remain.
    """
    if [each.name for each in kept[-5:]] != HEAD:
        return
    first, second, loss, above, below = (each.arguments for each in kept[-5:])
    links = (first[3], second[1]), (second[3], loss[0]), (loss[5], above[0]), (above[6], below[0])
    weights = (second[0], above[3]), (first[0], below[3])
    one, two = (each.defines for each in kept[-5:-3])
    sizes, count = (one["INPUTS"], one["OUTPUTS"], two["OUTPUTS"]), first[-1]
    bytes_ = head_numbers(*sizes) * first[0].itemsize
    linked = all(_same(*each) for each in (*links, *weights)) and below[6] is not NULL
    if not linked or count > MANY_IMAGES or bytes_ > SHARED_BYTES:
        return
    arrays = first[0], first[2], second[0], second[2], first[1], loss[1], first[3], *second[3:4]
    arguments = *arrays, *loss[2:6], above[6], below[6], *loss[6:9], count
    names = "INPUTS", "HIDDEN", "CLASSES", "FIRST", "SECOND"
    defines = dict(zip(names, (*sizes, one["ACTIVATION"], two["ACTIVATION"]), strict=True))
    grid = (ceil_div(count, HEAD_IMAGES),)
    rest = [
        each._replace(
            grid=each.arguments[-2:-1],
            arguments=(
                *each.arguments[: DX[each.name]],
                NULL,
                *each.arguments[DX[each.name] + 1 :],
            ),
        )
        for each in kept[-2:]
    ]
    kept[-5:] = [Launch("head", "head", grid, kept[-1].block, arguments, defines), *rest]


def _weight_gradients(kept: list[Launch]) -> None:
    """A dense layer's gradients of the weights, wanted alone, are computed beside another's."""
    if [each.name for each in kept[-2:]] != ["dense_backward"] * 2:
        return
    a, b = kept[-2:]
    own = (
        *a.arguments[:3],
        *a.arguments[4:6],
        *map(a.defines.get, ("ACTIVATION", "OUTPUTS", "INPUTS")),
    )
    jobs = [each for each in (own, *_jobs(a), *_jobs(b))]
    if a.arguments[DX[a.name]] is not NULL or len(jobs) > 2:
        return
    given = (sum(jobs, ()) + NO_JOBS)[: len(NO_JOBS)]
    arguments = (*b.arguments[:JOBS], *given, *b.arguments[JOBS + len(NO_JOBS) :])
    kept[-2:] = [b._replace(grid=(a.grid[0] + b.grid[0],), arguments=arguments)]


def _jobs(launch: Launch) -> list[tuple[Any, ...]]:
    """The further layers whose gradients of the weights a dense_backward computes."""
    places = range(JOBS, JOBS + len(NO_JOBS), JOB)
    return [launch.arguments[k : k + JOB] for k in places if launch.arguments[k] is not NULL]


def _before_activation(kept: list[Launch]) -> None:
    """A stage's gradient before its activation is left by the kernel that computes its dy."""
    *others, last = kept
    makers = [k for k, each in enumerate(others) if each.name != "sum_partials"]
    if last.name != "stage_gradient" or not makers:
        return
    maker = others[makers[-1]]
    place = DX.get(maker.name)
    if place is None or not _same(maker.arguments[place], last.arguments[0]):
        return
    given = *maker.arguments[: place + 1], *last.arguments[1:4], *maker.arguments[place + 4 :]
    kept[makers[-1]] = maker._replace(arguments=given, defines=maker.defines | last.defines)
    kept.pop()


def _sums(kept: list[Launch]) -> None:
    """Sums over chunks are added up by the update that reads them."""
    update = kept[-1]
    if update.file != "updates":
        return
    place = len(kept) - 1
    while place and kept[place - 1].name in QUIET:
        place -= 1
    gradient, rest = update.arguments[1], []
    found: list[tuple[Any, ...]] = []
    for each in kept[place:-1]:
        start = _start(each, gradient) if each.name == "sum_partials" else None
        if start is None or len(found) == 2:
            rest.append(each)
        else:
            partial, _, _, chunks, weights, biases = each.arguments
            found.append((partial, start, weights + biases, chunks))
    sums = (sum(found, ()) + NO_SUMS)[: len(NO_SUMS)]
    blocks = sum(ceil_div(each[2], LANES) for each in found)
    arguments = (*update.arguments[: -len(NO_SUMS) - 1], *sums, update.arguments[-1])
    joint = update._replace(grid=(update.grid[0] + blocks,), arguments=arguments)
    kept[place:] = [*rest, joint]


def _start(sums: Launch, gradient: Any) -> int | None:
    """Where in a flat gradient the sums' results lie, if they do, the biases after the weights."""
    weight, bias = sums.arguments[1:3]
    place = weight.data.ptr - gradient.data.ptr
    follow = bias.data.ptr == weight.data.ptr + weight.nbytes
    inside = place >= 0 and place + weight.nbytes + bias.nbytes <= gradient.nbytes
    return int(place // gradient.itemsize) if follow and inside else None
