"""Write lenet5_torch.npz: what PyTorch computes in float64 for the problem in problem.py.

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


def main() -> None:
    host_images, host_labels = problem.batch()
    images, labels = torch.tensor(host_images), torch.tensor(host_labels)
    stored = {"torch": np.array(torch.__version__)}
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
    path = Path(__file__).with_name("lenet5_torch.npz")
    np.savez_compressed(path, **stored)
    print(f"{path}: {path.stat().st_size:,} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
