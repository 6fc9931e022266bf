"""Optimisers: each an expression over flat vectors."""

from collections.abc import Sequence

from lenet_xp.ops import Array, Ops
from lenet_xp.ops.settings import AdamSettings, SGDSettings


class Optimiser:
    """What optimisers share: they count their steps, and update at a rate and a step's number."""

    steps = 0

    def step(self, learning_rate: float) -> None:
        """Move the values against the gradients."""
        self.steps += 1
        self.update((learning_rate, self.steps))

    def moments(self) -> dict[str, Array]:
        """The vectors that last from step to step."""
        raise NotImplementedError

    def update(self, rates: Sequence[float]) -> None:
        """Move the values; rates: the learning rate, and the step's number from 1 on.

        A capture reads a NumPy array of them anew in each repetition.
        """
        raise NotImplementedError


class SGD(Optimiser):
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
        self.settings = SGDSettings(momentum, nesterov, weight_decay)
        self.ops, self.values, self.gradients = ops, values, gradients
        self.velocity = ops.zeros(values.shape) if momentum else None

    def moments(self) -> dict[str, Array]:
        return {} if self.velocity is None else {"velocity": self.velocity}

    def update(self, rates: Sequence[float]) -> None:
        self.ops.sgd_update(self.values, self.gradients, self.velocity, rates, self.settings)


class Adam(Optimiser):
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
        self.settings = AdamSettings(betas, epsilon, weight_decay, decoupled)
        self.ops, self.values, self.gradients = ops, values, gradients
        self.mean, self.square = ops.zeros(values.shape), ops.zeros(values.shape)

    def moments(self) -> dict[str, Array]:
        return {"mean": self.mean, "square": self.square}

    def update(self, rates: Sequence[float]) -> None:
        moments = self.mean, self.square
        self.ops.adam_update(self.values, self.gradients, *moments, rates, self.settings)


class SDLM(Optimiser):
    """Stochastic diagonal Levenberg-Marquardt: value -= rate * gradient / (mu + h).

    h is the second derivative of the loss by each parameter, by `curvature.py` before each pass.
    mu keeps the steps small where the loss is flat. LeCun et al. 1998, Appendix C, section III.B.
    """

    def __init__(self, ops: Ops, values: Array, gradients: Array, mu: float = 0.02):
        self.ops, self.values, self.gradients, self.mu = ops, values, gradients, mu
        self.inverse = ops.zeros(values.shape) + 1.0 / mu  # 1 / (mu + h)
        self.scaled = ops.zeros(values.shape)

    def measured(self, h: Array) -> None:
        """Take a new h (P,), the mean over images."""
        self.inverse[...] = 1.0 / (self.mu + h)

    def moments(self) -> dict[str, Array]:
        return {"inverse": self.inverse}

    def update(self, rates: Sequence[float]) -> None:
        self.ops.multiply(self.gradients, self.inverse, out=self.scaled)
        self.ops.sgd_update(self.values, self.scaled, None, rates, SGDSettings())
