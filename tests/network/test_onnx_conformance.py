"""Layers, loss and optimisers against the node cases of ONNX's own backend tests."""

import numpy as np
import pytest
from onnx_cases import PLANS, OutOfScope, check, onnx_cases, plan
from onnx_summary import SUMMARY, read, render, result_of

from lenet_xp.ops.numpy_ops import NumpyOps

onnx = pytest.importorskip(
    "onnx", minversion="1.22", reason="needs onnx 1.22 or later, whose cases these are"
)


@pytest.fixture(scope="module")
def generated():
    """The cases, and how many others repeat them; to make them all takes seconds."""
    return onnx_cases()


@pytest.fixture(scope="module")
def in_scope(generated):
    def applies(case) -> bool:
        try:
            return bool(plan(case))
        except OutOfScope:
            return False

    return [case for case in generated[0] if applies(case)]


@pytest.mark.parametrize("operator", PLANS)
def test_cases_of_an_operator(ops, in_scope, operator):
    cases = [case for case in in_scope if case.operator == operator]
    assert cases, "no case applies: this test would prove nothing"
    for case in cases:
        check(case, ops)


def test_the_summary_is_what_happens(ops, generated):
    cases, written_out = generated
    rows, text = [result_of(case, ops) for case in cases], SUMMARY.read_text(encoding="utf-8")
    if f"onnx {onnx.__version__} " in text:
        assert render(rows, written_out, onnx.__version__) == text, "renew it: onnx_summary.py"
        return
    recorded, found = read(text), {name: (result, why) for _, name, result, why in rows}
    shared = recorded.keys() & found.keys()  # another version of onnx has other cases
    assert len(shared) > len(recorded) / 2
    assert {n: found[n] for n in shared} == {n: recorded[n] for n in shared}


def test_every_output_of_a_case_counts(in_scope):
    ops = NumpyOps("float64")
    for case in in_scope:
        for i, output in enumerate(case.outputs):
            wrong = np.array(output)
            wrong.flat[-1] += max(1e-4 * np.abs(output).max(), output.dtype.kind == "i")
            outputs = [*case.outputs[:i], wrong, *case.outputs[i + 1 :]]
            with pytest.raises(AssertionError, match=case.name):
                check(case._replace(outputs=outputs), ops)
