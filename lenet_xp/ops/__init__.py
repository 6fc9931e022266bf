"""The array contract `Ops`, its implementations, and the choice between them."""

from lenet_xp.ops.reference import Array, Ops
from lenet_xp.ops.select import BACKENDS, BackendUnavailable, get_ops

__all__ = ["BACKENDS", "Array", "BackendUnavailable", "Ops", "get_ops"]
