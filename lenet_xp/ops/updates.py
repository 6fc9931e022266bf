"""The part of the array contract that updates parameters: in place, over the flat vectors."""

from typing import Any

Array = Any


class Updates:
    """The optimisers' arithmetic, in the portable style of `reference.Ops`, which has it."""

    xp: Any

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        *,
        learning_rate: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        """value -= learning_rate * direction, with velocity = momentum * velocity + gradient.

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
        value[...] = value - learning_rate * direction

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        *,
        step: int,
        learning_rate: float,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        """Adam (Kingma & Ba 2015); with decoupled decay AdamW (Loshchilov & Hutter 2019).

        step counts from 1. mean and square are the running moments, updated in place.
        """
        beta1, beta2 = betas
        if weight_decay and decoupled:
            value[...] = value * (1.0 - learning_rate * weight_decay)
        elif weight_decay:
            gradient = gradient + weight_decay * value
        mean[...] = beta1 * mean + (1.0 - beta1) * gradient
        square[...] = beta2 * square + (1.0 - beta2) * gradient * gradient
        rate = learning_rate / (1.0 - beta1**step)
        root = self.xp.sqrt(square) * (1.0 - beta2**step) ** -0.5 + epsilon
        value[...] = value - rate * (mean / root)

    def average_update(self, average: Array, value: Array, share: float) -> None:
        """average += share * (value - average): a step of a running mean."""
        average[...] = average + share * (value - average)
