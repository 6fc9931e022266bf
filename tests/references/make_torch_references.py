"""Write lenet5_torch.npz and plain_torch.npz: what PyTorch computes in float64 for problem.py.

    python tests/references/make_torch_references.py

Needs torch; the tests that read the file do not.
"""

from pathlib import Path

import numpy as np
import problem
import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2.0 / 3.0 * x),
}
Tensors = dict[str, torch.Tensor]


def forward(p: Tensors, x: torch.Tensor, activation: str, squash_pools: bool) -> torch.Tensor:
    f = ACTIVATIONS[activation]
    for name in ("C1", "C3"):
        x = F.avg_pool2d(f(F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"])), 2)
        x = f(x) if squash_pools else x
    x = x.flatten(1)
    for name in ("C5", "F6"):
        x = f(F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"]))
    return F.linear(x, p["output.weight"], p["output.bias"])


def optimiser(name: str, tensors: list[torch.Tensor]) -> torch.optim.Optimizer:
    rate, decay = problem.OPTIMISERS[name]
    settings = {"lr": rate, "weight_decay": decay}
    if name == "sgd":
        return torch.optim.SGD(tensors, **settings)
    if name == "nesterov":
        return torch.optim.SGD(tensors, momentum=problem.MOMENTUM, nesterov=True, **settings)
    cls = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return cls(tensors, betas=problem.BETAS, eps=problem.EPSILON, **settings)


def fresh() -> Tensors:
    host = problem.parameters()
    return {name: torch.tensor(value, requires_grad=True) for name, value in host.items()}


class ScaledTanh(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ACTIVATIONS["scaled_tanh"](x)


MODULES = {
    **{"conv2d": torch.nn.Conv2d, "avgpool2d": torch.nn.AvgPool2d, "maxpool2d": torch.nn.MaxPool2d},
    **{"flatten": torch.nn.Flatten, "linear": torch.nn.Linear, "tanh": torch.nn.Tanh},
    **{"relu": torch.nn.ReLU, "scaled_tanh": ScaledTanh},
}


def plain(name: str) -> dict[str, np.ndarray]:
    """Logits, and loss, gradients and three steps by labels and by soft targets."""
    layers = problem.PLAIN[name][1]
    network = torch.nn.Sequential(*(MODULES[kind](*settings) for kind, *settings in layers))
    tensors = list(network.double().parameters())
    start = problem.plain_parameters([tuple(t.shape) for t in tensors])
    images, *wanted = map(torch.tensor, problem.plain_batch(name))
    stored = {}
    for kind, target in zip(("labels", "targets"), wanted, strict=True):
        for t, value in zip(tensors, start.values(), strict=True):
            t.data.copy_(torch.tensor(value))
        optim = torch.optim.SGD(
            tensors, lr=problem.PLAIN_RATE, momentum=problem.MOMENTUM, nesterov=True
        )
        for step in range(problem.STEPS):
            optim.zero_grad()
            logits = network(images)
            loss = F.cross_entropy(logits, target)
            loss.backward()
            if step == 0:
                gradients = {n: t.grad.numpy() for n, t in zip(start, tensors, strict=True)}
                stored[f"{name}.logits"] = logits.detach().numpy()
                stored[f"{name}.{kind}.loss"] = loss.detach().numpy()
                stored[f"{name}.{kind}.gradient"] = problem.digest(gradients)
            optim.step()
        moved = {n: t.detach().numpy() - start[n] for n, t in zip(start, tensors, strict=True)}
        stored[f"{name}.{kind}.steps"] = problem.digest(moved)
    return stored


def write(file: str, stored: dict[str, np.ndarray]) -> None:
    path = Path(__file__).with_name(file)
    np.savez_compressed(path, torch=np.array(torch.__version__), **stored)
    print(f"{path}: {path.stat().st_size:,} bytes, torch {torch.__version__}")


def main() -> None:
    write("lenet5_torch.npz", lenet5())
    write("plain_torch.npz", {k: v for name in problem.PLAIN for k, v in plain(name).items()})


def lenet5() -> dict[str, np.ndarray]:
    host_images, host_labels = problem.batch()
    images, labels = torch.tensor(host_images), torch.tensor(host_labels)
    stored = {}
    for network, settings in problem.NETWORKS.items():

        def loss_of(p: Tensors, settings=settings) -> tuple[torch.Tensor, torch.Tensor]:
            logits = forward(p, images, **settings)
            return logits, F.cross_entropy(logits, labels)

        p = fresh()
        logits, loss = loss_of(p)
        loss.backward()
        stored[f"{network}.logits"] = logits.detach().numpy()
        stored[f"{network}.loss"] = loss.detach().numpy()
        stored[f"{network}.gradient"] = problem.digest({n: t.grad.numpy() for n, t in p.items()})
        for name in problem.OPTIMISERS:
            p = fresh()
            optim = optimiser(name, list(p.values()))
            for _ in range(problem.STEPS):
                optim.zero_grad()
                loss_of(p)[1].backward()
                optim.step()
            moved = {n: p[n].detach().numpy() - v for n, v in problem.parameters().items()}
            stored[f"{network}.{name}"] = problem.digest(moved)
    return stored


if __name__ == "__main__":
    main()
