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
    for name in SHAPES:
        vector = np.asarray(vectors[name], dtype=np.float64).ravel()
        signs = rng.choice((-1.0, 1.0), (4, vector.size))
        rows.append(np.concatenate([[np.linalg.norm(vector)], signs @ vector]))
    sample = np.concatenate([np.ravel(vectors[name]) for name in SHAPES])[::61]
    return np.concatenate([np.ravel(rows), sample])


def digest_error(actual: np.ndarray, desired: np.ndarray) -> float:
    """The largest error of a digest: of sums relative to the norm, of entries to the largest."""
    count = 5 * len(SHAPES)
    sums, expected = (d[:count].reshape(-1, 5) for d in (actual, desired))
    in_sums = np.abs(sums - expected) / expected[:, :1]
    in_sample = np.abs(actual[count:] - desired[count:]) / np.abs(desired[count:]).max()
    return float(max(in_sums.max(), in_sample.max()))
