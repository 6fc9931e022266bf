"""Networks of plain layers against what PyTorch computed, stored in references/plain_torch.npz.

Forward, gradients and three steps of Nesterov momentum, by labels and by soft targets, of layers by
themselves and fused. references/make_torch_references.py wrote it; torch is not needed here.
"""

from pathlib import Path

import numpy as np
import pytest
from references import problem
from tolerances import assert_close, error

from lenet_xp import layers
from lenet_xp.losses import SoftmaxCrossEntropy, check_labels, check_targets
from lenet_xp.model import Sequential
from lenet_xp.optim import SGD

PATH = Path(__file__).parents[1] / "references" / "plain_torch.npz"
LIMITS = {"float64": 1e-10, "float32": 1e-5}
KINDS = {
    cls.kind: cls for cls in vars(layers).values() if isinstance(cls, type) and hasattr(cls, "kind")
}


@pytest.fixture(scope="module")
def stored():
    with np.load(PATH) as file:
        return dict(file)


def build(name: str, ops, fused: bool) -> Sequential:
    shape, kinds = problem.PLAIN[name]
    made = [KINDS[kind](*settings) for kind, *settings in kinds]
    model = Sequential(made, shape, ops, fused=fused)
    start = problem.plain_parameters([p.shape for p in model.parameters().values()])
    for p, value in zip(model.parameters().values(), start.values(), strict=True):
        p.value[...] = ops.asarray(value)
    return model


def gap(arrays: list[np.ndarray], stored: np.ndarray) -> float:
    found = problem.digest({str(n): each for n, each in enumerate(arrays)})
    return problem.digest_error(found, stored, len(arrays))


@pytest.mark.parametrize("fused", (False, True))
@pytest.mark.parametrize("kind", ("labels", "targets"))
@pytest.mark.parametrize("name", problem.PLAIN)
def test_a_network_of_plain_layers(ops, stored, name, kind, fused):
    model, limit = build(name, ops, fused), LIMITS[ops.dtype_name]
    parameters = model.parameters().values()
    start = [ops.to_host(p.value) for p in parameters]
    host_images, labels, targets = problem.plain_batch(name)
    images, count = ops.asarray(np.moveaxis(host_images, 0, -1)), len(labels)
    classes = model.shapes[-1][0]
    labels = ops.asarray(check_labels(labels, classes))
    soft = ops.asarray(check_targets(targets.T, classes, count)) if kind == "targets" else None
    loss = SoftmaxCrossEntropy(ops)
    optimiser = SGD(ops, model.values, model.gradients, problem.MOMENTUM, nesterov=True)
    for step in range(problem.STEPS):
        logits = model.forward(images)
        losses, _, dlogits = loss(logits, labels, targets=soft)
        model.backward(dlogits)
        if step == 0:
            assert_close(ops, logits, stored[f"{name}.logits"].T, LIMITS)
            mean = np.array(ops.to_host(losses).mean(dtype=float))
            assert error(mean, stored[f"{name}.{kind}.loss"]) <= limit
            gradients = [ops.to_host(p.gradient) for p in parameters]
            assert gap(gradients, stored[f"{name}.{kind}.gradient"]) <= limit
        optimiser.step(problem.PLAIN_RATE)
    moved = [ops.to_host(p.value).astype(float) - s for p, s in zip(parameters, start, strict=True)]
    assert gap(moved, stored[f"{name}.{kind}.steps"]) <= limit


def test_labels_and_targets_differ(stored):
    for name in problem.PLAIN:
        one, other = (stored[f"{name}.{kind}.gradient"] for kind in ("labels", "targets"))
        assert error(one, other) > 1e-2
