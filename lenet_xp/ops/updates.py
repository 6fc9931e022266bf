"""The part of the array contract that updates parameters: in place, over the flat vectors."""

from collections.abc import Sequence
from typing import Any

from lenet_xp.ops.settings import AdamSettings, SGDSettings

Array = Any


class Updates:
    """The optimisers' arithmetic, in the portable style of `reference.Ops`, which inherits it.

    rates: the learning rate, and the step's number from 1 on. If `rates` is a float64 NumPy array,
    each repetition of a capture reads its current values.
    """

    xp: Any

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        settings: SGDSettings,
    ) -> None:
        """value -= learning rate * direction, with velocity = momentum * velocity + gradient.

        The direction is the velocity, or gradient + momentum * velocity with Nesterov's method
        (Sutskever et al. 2013). Without momentum it is the gradient.
        """
        momentum = settings.momentum
        if settings.weight_decay:
            gradient = gradient + settings.weight_decay * value
        direction = gradient
        if velocity is not None:
            velocity[...] = momentum * velocity + gradient
            direction = gradient + momentum * velocity if settings.nesterov else velocity
        value[...] = value - float(rates[0]) * direction

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        settings: AdamSettings,
    ) -> None:
        """Adam (Kingma & Ba 2015); with decoupled decay AdamW (Loshchilov & Hutter 2019).

        mean and square are the running moments, updated in place.
        """
        (beta1, beta2), decay = settings.betas, settings.weight_decay
        learning_rate, step = map(float, rates)
        if decay and settings.decoupled:
            value[...] = value * (1.0 - learning_rate * decay)
        elif decay:
            gradient = gradient + decay * value
        mean[...] = beta1 * mean + (1.0 - beta1) * gradient
        square[...] = beta2 * square + (1.0 - beta2) * gradient * gradient
        rate = learning_rate / (1.0 - beta1**step)
        root = self.xp.sqrt(square) * (1.0 - beta2**step) ** -0.5 + settings.epsilon
        value[...] = value - rate * (mean / root)
