"""What an operation is told besides its arrays, where that is more than a number or two."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageSettings:
    """A convolution, an activation, an average pool and, where `squash` names one, an activation.

    kernels: the shape of the weights (O, C, KH, KW). stride, padding: of the convolution, pixels.
    pool: side of a pooling block, pixels. activation, squash: kinds of activations.
    """

    kernels: tuple[int, int, int, int]
    stride: int
    padding: int
    activation: str
    pool: int
    squash: str | None = None


@dataclass(frozen=True)
class SGDSettings:
    """momentum in [0, 1), 0 for none. weight_decay: an L2 penalty, added to the gradient.

    nesterov: Nesterov's momentum instead of the plain one (Sutskever et al. 2013).
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.momentum < 1.0 or self.weight_decay < 0.0:
            raise ValueError("momentum must lie in [0, 1) and weight decay not be negative")
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("Nesterov's method needs a momentum above 0")


@dataclass(frozen=True)
class AdamSettings:
    """betas: how much of the two running moments a step keeps, each in [0, 1).

    weight_decay: an L2 penalty in the gradient, or with `decoupled` a shrinking of the values by
    learning rate * weight_decay (AdamW, Loshchilov & Hutter 2019).
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        decay, betas = self.weight_decay, self.betas
        if not all(0.0 <= beta < 1.0 for beta in betas) or self.epsilon <= 0.0 or decay < 0.0:
            raise ValueError("betas must lie in [0, 1), epsilon be positive, decay not negative")
