"""The optimisers' arithmetic on NumPy: in place, in one vector to work with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lenet_xp.ops.aligned import aligned_empty
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
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        if velocity is None and not weight_decay:
            self._run(self._descend, value, gradient, rates)
            return
        settings = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        self._run(super().sgd_update, value, gradient, velocity, rates, **settings)

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
        *,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        settings = {"betas": betas, "epsilon": epsilon}
        settings |= {"weight_decay": weight_decay, "decoupled": decoupled}
        self._run(self._adam, value, gradient, mean, square, rates, **settings)

    def _adam(
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
        learning_rate, step = map(float, rates)
        work, beta1, beta2 = self._scratch(value.shape), *map(self.dtype, betas)
        rest1, rest2 = (self.dtype(1.0 - beta) for beta in betas)  # 1 - beta1 would lose digits
        if weight_decay and decoupled:
            np.multiply(value, self.dtype(1.0 - learning_rate * weight_decay), out=value)
        elif weight_decay:
            gradient = gradient + self.dtype(weight_decay) * value
        np.multiply(mean, beta1, out=mean)
        np.add(mean, np.multiply(gradient, rest1, out=work), out=mean)
        np.multiply(square, beta2, out=square)
        np.multiply(gradient, gradient, out=work)
        np.add(square, np.multiply(work, rest2, out=work), out=square)
        np.multiply(np.sqrt(square, out=work), self.dtype((1 - betas[1] ** step) ** -0.5), out=work)
        np.divide(mean, np.add(work, self.dtype(epsilon), out=work), out=work)
        rate = self.dtype(learning_rate / (1 - betas[0] ** step))
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
