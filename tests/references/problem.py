"""The small training problem of the stored references, and how a vector is stored briefly.

Nothing here imports the package or torch. The numbers come from NumPy's legacy generator, whose
stream is frozen.
"""

import numpy as np

NETWORKS = {
    "seed": {"activation": "tanh", "squash_pools": True},
    "relu": {"activation": "relu", "squash_pools": False},
    "scaled": {"activation": "scaled_tanh", "squash_pools": True},
}
SHAPES = {
    "C1.weight": (6, 1, 5, 5),
    "C1.bias": (6,),
    "C3.weight": (16, 6, 5, 5),
    "C3.bias": (16,),
    "C5.weight": (120, 400),
    "C5.bias": (120,),
    "F6.weight": (84, 120),
    "F6.bias": (84,),
    "output.weight": (33, 84),
    "output.bias": (33,),
}
BETAS, EPSILON = (0.8, 0.95), 1e-6
STEPS = 3
# name -> learning rate, weight decay
OPTIMISERS = {
    "sgd": (0.1, 0.0),
    "nesterov": (0.05, 1e-2),
    "adam": (0.002, 1e-2),
    "adamw": (0.002, 0.1),
}
MOMENTUM = 0.9
PLAIN_RATE = (
    0.5  # of the plain networks: float32 holds the change of a parameter to 1e-6 and better
)


# Networks of plain layers: name -> shape of an image, layers of (kind, *settings), where a
# convolution's are channels in and out, kernel, stride and padding.
PLAIN: dict[str, tuple[tuple[int, ...], list[tuple]]] = {
    "padding": (
        (1, 10, 10),
        [
            *(("conv2d", 1, 6, 3, 1, 1), ("relu",), ("conv2d", 6, 8, 3, 1, 1), ("tanh",)),
            *(("avgpool2d", 2), ("flatten",), ("linear", 200, 10)),
        ],
    ),
    "max pools": (
        (1, 14, 12),
        [
            *(("conv2d", 1, 5, 3, 1, 0), ("relu",), ("maxpool2d", 2)),
            *(("conv2d", 5, 7, 3, 1, 1), ("relu",), ("maxpool2d", 3)),
            *(("flatten",), ("linear", 14, 12), ("tanh",), ("linear", 12, 6)),
        ],
    ),
    "stride 2": (
        (2, 13, 12),
        [
            *(("conv2d", 2, 6, 3, 2, 1), ("scaled_tanh",), ("conv2d", 6, 8, 3, 2, 0), ("relu",)),
            *(("flatten",), ("linear", 48, 9)),
        ],
    ),
    "three channels": (
        (3, 12, 12),
        [
            *(("conv2d", 3, 6, 5, 1, 2), ("tanh",), ("avgpool2d", 2), ("scaled_tanh",)),
            *(("conv2d", 6, 4, 3, 1, 0), ("flatten",), ("linear", 64, 11)),
        ],
    ),
    "no activation": (
        (1, 11, 9),
        [("conv2d", 1, 4, 4, 1, 0), ("avgpool2d", 3), ("flatten",), ("linear", 16, 5)],
    ),
    "two classes": (
        (1, 8, 8),
        [("maxpool2d", 2), ("flatten",), ("linear", 16, 20), ("relu",), ("linear", 20, 2)],
    ),
    "1,000 classes": (
        (1, 9, 9),
        [("conv2d", 1, 3, 3, 2, 0), ("tanh",), ("flatten",), ("linear", 48, 1000)],
    ),
    "dense alone": ((1, 6, 7), [("flatten",), ("tanh",), ("linear", 42, 8)]),
}


def plain_parameters(shapes: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Parameters of these shapes, by their place; weights as wide as their inputs allow."""
    rng = np.random.RandomState(2026)
    bounds = [np.sqrt(3 / np.prod(s[1:])) if len(s) > 1 else 0.2 for s in shapes]
    drawn = (rng.uniform(-b, b, s) for b, s in zip(bounds, shapes, strict=True))
    return {str(place): value for place, value in enumerate(drawn)}


def plain_batch(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five images (N, C, H, W) of a plain network, their labels and soft targets (N, K)."""
    (shape, layers), rng = PLAIN[name], np.random.RandomState(7)
    classes = layers[-1][2]
    targets = rng.uniform(0, 1, (5, classes)) ** 4
    targets /= targets.sum(axis=1, keepdims=True)
    return rng.uniform(-1, 1, (5, *shape)), rng.randint(0, classes, 5), targets


def parameters() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(1998)
    bounds = {n: np.sqrt(3 / np.prod(s[1:])) if len(s) > 1 else 0.2 for n, s in SHAPES.items()}
    return {name: rng.uniform(-bounds[name], bounds[name], s) for name, s in SHAPES.items()}


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Four images (N, 1, 32, 32) and their labels."""
    rng = np.random.RandomState(5)
    return rng.uniform(-1, 1, (4, 1, 32, 32)), rng.randint(0, 33, 4)


def digest(vectors: dict[str, np.ndarray]) -> np.ndarray:
    """Each parameter's norm, its sums under four random patterns of signs, and every 61st entry.

    Every entry takes part in the four sums, so that any one that is wrong moves them.
    """
    rng = np.random.RandomState(61)
    rows = []
    for name in vectors:
        vector = np.asarray(vectors[name], dtype=np.float64).ravel()
        signs = rng.choice((-1.0, 1.0), (4, vector.size))
        rows.append(np.concatenate([[np.linalg.norm(vector)], signs @ vector]))
    sample = np.concatenate([np.ravel(each) for each in vectors.values()])[::61]
    return np.concatenate([np.ravel(rows), sample])


def digest_error(actual: np.ndarray, desired: np.ndarray, parameters: int = len(SHAPES)) -> float:
    """The largest error of a digest: of sums relative to the norm, of entries to the largest."""
    count = 5 * parameters
    sums, expected = (d[:count].reshape(-1, 5) for d in (actual, desired))
    in_sums = np.abs(sums - expected) / expected[:, :1]
    in_sample = np.abs(actual[count:] - desired[count:]) / np.abs(desired[count:]).max()
    return float(max(in_sums.max(), in_sample.max()))
