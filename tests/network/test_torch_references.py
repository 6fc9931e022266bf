"""Every backend against what PyTorch computed, stored in references/lenet5_torch.npz.

references/make_torch_references.py wrote it; torch is not needed here.
"""

from pathlib import Path

import numpy as np
import pytest
from references import problem
from tolerances import NETWORK, TRAINING, assert_close

from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.optim import SGD, Adam

PATH = Path(__file__).parents[1] / "references" / "lenet5_torch.npz"


@pytest.fixture(scope="module")
def stored():
    with np.load(PATH) as file:
        return dict(file)


def build(network: str, ops) -> tuple:
    """The network with the problem's parameters, and a function that runs one batch."""
    model = LeNet5(**problem.NETWORKS[network], ops=ops)
    for name, value in problem.parameters().items():
        model.parameters()[name].value[...] = ops.asarray(value)
    host_images, host_labels = problem.batch()
    images, labels = ops.asarray(np.moveaxis(host_images, 0, -1)), ops.asarray(host_labels)
    loss = SoftmaxCrossEntropy(ops)

    def run():
        logits = model.forward(images)
        losses, _, dlogits = loss(logits, labels)
        model.backward(dlogits)
        return logits, losses

    return model, run


def optimiser(name: str, model: LeNet5, weight_decay: float):
    vectors = model.ops, model.values, model.gradients
    if name == "sgd":
        return SGD(*vectors, weight_decay=weight_decay)
    if name == "nesterov":
        return SGD(*vectors, problem.MOMENTUM, nesterov=True, weight_decay=weight_decay)
    settings = {"betas": problem.BETAS, "epsilon": problem.EPSILON, "weight_decay": weight_decay}
    return Adam(*vectors, **settings, decoupled=name == "adamw")


@pytest.mark.parametrize("network", problem.NETWORKS)
def test_logits_loss_and_gradients(ops, stored, network):
    model, run = build(network, ops)
    logits, losses = run()
    assert_close(ops, logits, stored[f"{network}.logits"].T, NETWORK)
    mean = ops.to_host(losses).mean(dtype=float)
    assert mean == pytest.approx(float(stored[f"{network}.loss"]), rel=NETWORK[ops.dtype_name])
    gradients = {name: ops.to_host(p.gradient) for name, p in model.parameters().items()}
    gap = problem.digest_error(problem.digest(gradients), stored[f"{network}.gradient"])
    assert gap <= NETWORK[ops.dtype_name]


@pytest.mark.parametrize("name", problem.OPTIMISERS)
@pytest.mark.parametrize("network", problem.NETWORKS)
def test_three_steps_of_an_optimiser(ops, stored, network, name):
    model, run = build(network, ops)
    rate, decay = problem.OPTIMISERS[name]
    optim = optimiser(name, model, decay)
    for _ in range(problem.STEPS):
        run()
        optim.step(rate)
    start = problem.parameters()
    moved = {n: ops.to_host(p.value) - start[n] for n, p in model.parameters().items()}
    gap = problem.digest_error(problem.digest(moved), stored[f"{network}.{name}"])
    assert gap <= TRAINING[ops.dtype_name]


def test_the_digest_sees_any_wrong_entry():
    gradients = problem.parameters()
    right = problem.digest(gradients)
    assert problem.digest_error(right, right) == 0.0
    for at in ((0, 0), (17, 63), (119, 399)):
        wrong = {name: value.copy() for name, value in gradients.items()}
        wrong["C5.weight"][at] *= 1.0 + 1e-6
        assert problem.digest_error(problem.digest(wrong), right) > NETWORK["float64"]
