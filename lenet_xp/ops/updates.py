"""The part of the array contract that updates parameters: in place, over the flat vectors."""

from collections.abc import Sequence
from typing import Any

Array = Any


class Updates:
    """The optimisers' arithmetic, in the portable style of `reference.Ops`, which has it.

    rates: the learning rate and the number of the step, from 1 on. Of a NumPy array of float64 what
    it holds then counts in each repetition of a capture.
    """

    xp: Any

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        """value -= learning rate * direction, with velocity = momentum * velocity + gradient.

        The direction is the velocity, or gradient + momentum * velocity with Nesterov's method
        (Sutskever et al. 2013); without momentum it is the gradient. weight_decay is added to the
        gradient as an L2 penalty.
        """
        if weight_decay:
            gradient = gradient + weight_decay * value
        direction = gradient
        if velocity is not None:
            velocity[...] = momentum * velocity + gradient
            direction = gradient + momentum * velocity if nesterov else velocity
        value[...] = value - float(rates[0]) * direction

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        *,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        """Adam (Kingma & Ba 2015); with decoupled decay AdamW (Loshchilov & Hutter 2019).

        mean and square are the running moments, updated in place.
        """
        (beta1, beta2), (learning_rate, step) = betas, map(float, rates)
        if weight_decay and decoupled:
            value[...] = value * (1.0 - learning_rate * weight_decay)
        elif weight_decay:
            gradient = gradient + weight_decay * value
        mean[...] = beta1 * mean + (1.0 - beta1) * gradient
        square[...] = beta2 * square + (1.0 - beta2) * gradient * gradient
        rate = learning_rate / (1.0 - beta1**step)
        root = self.xp.sqrt(square) * (1.0 - beta2**step) ** -0.5 + epsilon
        value[...] = value - rate * (mean / root)

    def average_update(
        self, average: Array, value: Array, rates: Sequence[float], *, momentum: float
    ) -> None:
        """A step of a running mean: average += share * (value - average).

        The share is 1 - momentum, or the plain mean's 1 / step while that is more.
        """
        share = max(1.0 - momentum, 1.0 / float(rates[1]))
        average[...] = average + share * (value - average)
