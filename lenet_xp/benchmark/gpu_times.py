"""Times on a GPU: each kernel of a step, whole steps, reading, and PyTorch beside them."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lenet_xp.benchmark.gpu import RECIPES, Part, Sizes, patterns
from lenet_xp.benchmark.ours import PREPROCESSING
from lenet_xp.data.batches import Batch
from lenet_xp.inference import Reader
from lenet_xp.model import LeNet5
from lenet_xp.ops.cupy_ops import CupyOps
from lenet_xp.ops.kernels import Kernels
from lenet_xp.parallel import Workers, steps_at_once
from lenet_xp.recipes import CLASSIC, Recipe
from lenet_xp.trainer import Trainer


class _Listed(Kernels):
    """Kernels that keep a list of what was launched."""

    def __init__(self, cupy: Any, dtype: str):
        super().__init__(cupy, dtype)
        self.launches: list[tuple[str, Callable[[], None]]] = []

    def launch(
        self,
        file: str,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        **settings: int,
    ) -> None:
        again = partial(super().launch, file, name, grid, block, tuple(arguments), **settings)
        self.launches.append((f"{name} {tuple(grid)} x {tuple(block)}", again))
        again()


def _stepper(ops: CupyOps, recipe: Recipe, batch: int, times: int = 1) -> Callable[[], None]:
    """A call of it is some training steps on the same images, in one launch."""
    images, labels = patterns(batch)
    model = LeNet5(activation=recipe.activation, squash_pools=recipe.squash_pools, ops=ops)
    own = recipe.with_options(batch_size=batch)
    trainer = Trainer(model, own, PREPROCESSING, Workers(1), 1_000_000)
    losses, hits = ops.zeros((times * batch,)), ops.zeros((times * batch,))
    return partial(trainer.steps_on, [Batch(images, labels)] * times, losses, hits)


def _events(ops: CupyOps, call: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Microseconds a call, by the device's clock and by the host's, in the best of three turns."""
    cuda, turns = ops.xp.cuda, []
    for _ in range(3):
        start, end = cuda.Event(), cuda.Event()
        ops.synchronize()
        begun = time.perf_counter()
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        host = time.perf_counter() - begun
        turns.append((cuda.get_elapsed_time(start, end) * 1e3, host * 1e6))
    return tuple(min(column) / repeats for column in zip(*turns, strict=True))


def kernels(sizes: Sizes) -> dict[str, Any]:
    """Each launch of a step in order, repeated alone: microseconds on the device.

    Where they lie near the time of a launch from the host (some 5), that is what they show.
    """
    found = {}
    for batch in (sizes.batches[0], sizes.batches[-1]):
        for name, recipe in RECIPES.items():
            ops = CupyOps(graph=False)
            listed = ops._kernels = _Listed(ops.xp, ops.dtype_name)
            step = _stepper(ops, recipe, batch)
            step()
            listed.launches.clear()
            step()
            launches = list(listed.launches)
            for place, (title, again) in enumerate(launches):
                microseconds, _ = _events(ops, again, sizes.repeats)
                found[f"{name}, batch {batch}, {place:2d} {title}"] = round(microseconds, 2)
    return found


def graphs_of_one_kernel(sizes: Sizes) -> dict[str, Any]:
    """Each launch of a `best` step of the smallest batch as a graph of many copies of itself:
    microseconds with the host's part taken out."""
    ops = CupyOps(graph=False)
    listed = ops._kernels = _Listed(ops.xp, ops.dtype_name)
    step = _stepper(ops, RECIPES["best"], sizes.batches[0])
    step()
    listed.launches.clear()
    step()
    cuda, found, copies = ops.xp.cuda, {}, 20
    for place, (title, again) in enumerate(list(listed.launches)):
        stream = cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            for _ in range(copies):
                again()
            graph = stream.end_capture()
        microseconds, _ = _events(ops, graph.launch, max(sizes.repeats // 10, 1))
        found[f"{place:2d} {title}"] = round(microseconds / copies, 2)
    found["sum"] = round(sum(found.values()), 2)
    return found


def steps(sizes: Sizes) -> dict[str, Any]:
    """A training step: microseconds by the device and by the host, images a second."""
    found = {}
    for batch in sizes.batches:
        for name, recipe in RECIPES.items():
            for graph in (True, False):
                step = _stepper(ops := CupyOps(graph=graph), recipe, batch)
                for _ in range(3):
                    step()
                device, host = _events(ops, step, sizes.repeats)
                title = f"{name}, batch {batch}, {'graph' if graph else 'no graph'}"
                found[title] = {
                    "device_us": round(device, 1),
                    "host_us": round(host, 1),
                    "images_per_second": round(batch / max(device, host) * 1e6),
                }
    return found


def host_side(sizes: Sizes) -> dict[str, Any]:
    """Microseconds that the host is busy with a step of the smallest batch, alone or with others
    in one launch."""
    batch, ops, found = sizes.batches[0], CupyOps(), {}
    for times in (1, steps_at_once(ops, batch)):
        step = _stepper(ops, RECIPES["best"], batch, times)
        step()
        busy = []
        for _ in range(sizes.repeats):
            begun = time.perf_counter()
            step()
            busy.append(time.perf_counter() - begun)
            ops.synchronize()
        found[f"of {times} in a launch"] = round(float(np.median(busy)) * 1e6 / times, 1)
    return found


def reading(sizes: Sizes) -> dict[str, Any]:
    """Images a second, uint8 on the host to probabilities on the host."""
    found = {}
    for batch in (1, *sizes.batches):
        images, _ = patterns(batch)
        read = Reader(LeNet5(ops=CupyOps()), PREPROCESSING, batch)
        times = []
        for _ in range(max(sizes.repeats // 4, 1)):
            begun = time.perf_counter()
            read(images)
            times.append(time.perf_counter() - begun)
        middle = float(np.median(times))
        found[f"batch {batch}"] = f"{batch / middle:,.0f} images/s, {middle * 1e6:.1f} us"
    return found


def torch_steps(sizes: Sizes) -> dict[str, Any]:
    """PyTorch's step of the classic network on the GPU: eager, and as a CUDA graph."""
    import torch

    from lenet_xp.benchmark.peers import torch_batch, torch_network

    if not torch.cuda.is_available():
        return {"skipped": "PyTorch has no CUDA here", "torch": torch.__version__}
    found: dict[str, Any] = {"torch": torch.__version__}
    for batch in sizes.batches:
        network = torch_network().cuda()
        x, y = (tensor.cuda() for tensor in torch_batch(batch))
        optimiser = torch.optim.SGD(network.parameters(), lr=CLASSIC.learning_rate)
        loss = torch.nn.CrossEntropyLoss()

        def step(
            network: Any = network,
            x: Any = x,
            y: Any = y,
            optimiser: Any = optimiser,
            loss: Any = loss,
        ) -> None:
            optimiser.zero_grad(set_to_none=True)
            loss(network(x), y).backward()
            optimiser.step()

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        for kind, call in (("eager", step), ("graph", graph.replay)):
            turns = []
            for _ in range(3):
                torch.cuda.synchronize()
                begun = time.perf_counter()
                for _ in range(sizes.repeats):
                    call()
                torch.cuda.synchronize()
                turns.append(time.perf_counter() - begun)
            each = min(turns) / sizes.repeats
            found[f"{kind}, batch {batch}"] = f"{each * 1e6:.1f} us, {batch / each:,.0f} images/s"
    return found


TIMES: dict[str, Part] = {
    "steps": steps,
    "host_side": host_side,
    "graphs_of_one_kernel": graphs_of_one_kernel,
    "reading": reading,
    "torch_steps": torch_steps,
    "kernels": kernels,
}
