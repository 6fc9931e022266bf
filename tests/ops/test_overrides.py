"""Backends override the contract's methods, add none, and give the reference's results."""

import numpy as np
import pytest
from cases import CASES, Inputs
from conftest import VARIANTS
from tolerances import assert_close

from lenet_xp.ops import Ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.ops.numpy_ops import NumpyOps
from lenet_xp.ops.torch_ops import TorchOps

BACKENDS = (NumpyOps, CupyOps, TorchOps)


def overrides(cls: type) -> list[str]:
    """Everything of Ops, private helpers too, that a class or a base between defines anew."""
    between = cls.__mro__[: cls.__mro__.index(Ops)]
    names = {name for base in between for name in vars(base) if not name.startswith("__")}
    return sorted(n for n in names if hasattr(Ops, n) and not _is_number_or_name(n))


def _is_number_or_name(attribute: str) -> bool:
    """Whether it says what a backend prefers, and computes nothing."""
    return isinstance(getattr(Ops, attribute), int | str)


@pytest.mark.parametrize("cls", BACKENDS)
def test_every_override_has_a_case(cls):
    assert overrides(cls), "introspection finds no override: this test would prove nothing"
    missing = [name for name in overrides(cls) if name not in CASES]
    assert not missing, f"{cls.__name__} overrides {missing}: add cases to tests/cases.py"


def test_every_operation_has_a_case():
    public = {n for n in dir(Ops) if not n.startswith("_") and n != "xp"}
    public = {n for n in public if not _is_number_or_name(n)}
    assert public <= set(CASES), f"no case in tests/cases.py for {public - set(CASES)}"
    assert all(hasattr(Ops, name) for name in CASES)


@pytest.mark.parametrize("cls", BACKENDS)
def test_backends_add_nothing_public(cls):
    added = [n for n in dir(cls) if not n.startswith("_") and not hasattr(Ops, n) and n != "xp"]
    assert not added, f"{cls.__name__} adds {added} to the contract"


def test_instances_add_nothing_public(ops):
    known = vars(Ops(np)).keys() | vars(Ops).keys()
    added = [n for n in vars(ops) if not n.startswith("_") and n not in known]
    assert not added


@pytest.mark.parametrize("name", sorted(CASES))
def test_results_are_the_references(ops, variant, name):
    reference = Ops(np, VARIANTS[variant][1])
    for function in CASES[name]:
        expected = function(reference, Inputs(reference))
        actual = function(ops, Inputs(ops))
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            assert_close(ops, a, reference.to_host(e))
