"""Optimisers, and the mean of what they reach: each an expression over flat vectors."""

from lenet_xp.ops import Array, Ops


class SGD:
    """Stochastic gradient descent, plain, with momentum, or with Nesterov's momentum.

    values and gradients are the model's flat vectors. weight_decay is an L2 penalty.
    """

    def __init__(
        self,
        ops: Ops,
        values: Array,
        gradients: Array,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        if not 0.0 <= momentum < 1.0 or weight_decay < 0.0:
            raise ValueError("momentum must lie in [0, 1) and weight decay not be negative")
        if nesterov and momentum == 0.0:
            raise ValueError("Nesterov's method needs a momentum above 0")
        self.ops, self.values, self.gradients = ops, values, gradients
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.velocity = ops.zeros(values.shape) if momentum else None
        self.steps = 0

    def moments(self) -> dict[str, Array]:
        """The vectors that last from step to step."""
        return {} if self.velocity is None else {"velocity": self.velocity}

    def step(self, learning_rate: float) -> None:
        """Move the values against the gradients."""
        self.steps += 1
        self.ops.sgd_update(
            self.values,
            self.gradients,
            self.velocity,
            learning_rate=learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )


class Adam:
    """Adam, or AdamW with decoupled weight decay."""

    def __init__(
        self,
        ops: Ops,
        values: Array,
        gradients: Array,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ):
        if not all(0.0 <= beta < 1.0 for beta in betas) or epsilon <= 0.0 or weight_decay < 0.0:
            raise ValueError("betas must lie in [0, 1), epsilon be positive, decay not negative")
        self.ops, self.values, self.gradients = ops, values, gradients
        self.betas, self.epsilon = betas, epsilon
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self.mean, self.square = ops.zeros(values.shape), ops.zeros(values.shape)
        self.steps = 0

    def moments(self) -> dict[str, Array]:
        """The vectors that last from step to step."""
        return {"mean": self.mean, "square": self.square}

    def step(self, learning_rate: float) -> None:
        """Move the values by the bias-corrected moments of the gradients."""
        self.steps += 1
        self.ops.adam_update(
            self.values,
            self.gradients,
            self.mean,
            self.square,
            step=self.steps,
            learning_rate=learning_rate,
            betas=self.betas,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
        )


class RunningMean:
    """An exponential running mean of the values over the steps (Polyak & Juditsky 1992).

    With momentum 0.999 the last thousand steps count, roughly. Until as many are over it is the
    plain mean of all, so that the values it began with soon leave it.
    """

    def __init__(self, ops: Ops, values: Array, momentum: float):
        if not 0.0 < momentum < 1.0:
            raise ValueError("the momentum of a running mean must lie in (0, 1)")
        self.ops, self.values, self.momentum = ops, values, momentum
        self.average = ops.zeros(values.shape)

    def step(self, steps: int) -> None:
        """Take in the values after so many steps, from 1."""
        self.ops.average_update(self.average, self.values, max(1.0 - self.momentum, 1.0 / steps))
