"""The optimisers' arithmetic on NumPy: in place, in one vector to work with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lenet_xp.ops.aligned import aligned_empty
from lenet_xp.ops.settings import AdamSettings, SGDSettings
from lenet_xp.ops.updates import Array, Updates


class NumpyUpdates(Updates):
    """Updates for `NumpyOps`; a capture notes each as one call, which reads the rates anew."""

    dtype: Any
    _run: Callable[..., Any]
    _moves: np.ndarray | None = None  # what an update works with

    def _scratch(self, shape: tuple[int, ...]) -> np.ndarray:
        """Room for an update, the same each time: what it holds is dead when the update ends."""
        if self._moves is None or self._moves.shape != shape:
            self._moves = aligned_empty(shape, self.dtype)
        return self._moves

    def sgd_update(
        self,
        value: Array,
        gradient: Array,
        velocity: Array | None,
        rates: Sequence[float],
        settings: SGDSettings,
    ) -> None:
        if velocity is None and not settings.weight_decay:
            self._run(self._descend, value, gradient, rates)
        else:
            self._run(super().sgd_update, value, gradient, velocity, rates, settings)

    def _descend(self, value: Array, gradient: Array, rates: Sequence[float]) -> None:
        move = np.multiply(gradient, self.dtype(rates[0]), out=self._scratch(value.shape))
        np.subtract(value, move, out=value)

    def adam_update(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        settings: AdamSettings,
    ) -> None:
        self._run(self._adam, value, gradient, mean, square, rates, settings)

    def _adam(
        self,
        value: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        rates: Sequence[float],
        settings: AdamSettings,
    ) -> None:
        (beta1, beta2), decay = settings.betas, settings.weight_decay
        learning_rate, step = map(float, rates)
        work, scalar = self._scratch(value.shape), self.dtype
        if decay and settings.decoupled:
            np.multiply(value, scalar(1.0 - learning_rate * decay), out=value)
        elif decay:
            gradient = gradient + scalar(decay) * value
        # 1 - beta is taken in float64: in float32 it would lose digits.
        np.multiply(mean, scalar(beta1), out=mean)
        np.add(mean, np.multiply(gradient, scalar(1.0 - beta1), out=work), out=mean)
        np.multiply(square, scalar(beta2), out=square)
        np.multiply(gradient, gradient, out=work)
        np.add(square, np.multiply(work, scalar(1.0 - beta2), out=work), out=square)
        np.multiply(np.sqrt(square, out=work), scalar((1 - beta2**step) ** -0.5), out=work)
        np.divide(mean, np.add(work, scalar(settings.epsilon), out=work), out=work)
        rate = scalar(learning_rate / (1 - beta1**step))
        np.subtract(value, np.multiply(work, rate, out=work), out=value)

    def average_update(
        self, average: Array, value: Array, rates: Sequence[float], *, momentum: float
    ) -> None:
        self._run(self._average, average, value, rates, momentum)

    def _average(
        self, average: Array, value: Array, rates: Sequence[float], momentum: float
    ) -> None:
        share = max(1.0 - momentum, 1.0 / float(rates[1]))
        move = np.subtract(value, average, out=self._scratch(value.shape))
        np.add(average, np.multiply(move, self.dtype(share), out=move), out=average)
