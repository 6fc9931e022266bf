"""PyTorch on the GPU: eager, as a captured CUDA graph, and compiled."""

from collections.abc import Callable
from typing import Any

from lenet_xp.training.recipes import CLASSIC
from studies.speed.measure import Contender
from studies.speed.peers import torch_batch, torch_network

TRIAL_CALLS = 30  # calls that find the faster of two memory formats
NAMES = "PyTorch eager", "PyTorch CUDA graph", "PyTorch max-autotune"


def missing() -> str | None:
    """Return why PyTorch cannot take part, or None if it can."""
    try:
        import torch
    except ImportError as error:
        return str(error)
    return None if torch.cuda.is_available() else f"torch {torch.__version__} has no CUDA here"


def set_precision() -> None:
    """Let PyTorch multiply in float32, as lenet_xp does, and cuDNN try its algorithms."""
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def contenders(
    training: bool, batch: int, compiled: bool = True, device: str = "cuda"
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return the contenders of NAMES that run, in the faster memory format, and why others do not.

    compiled: whether the compiled one, which starts slowly, takes part; it uses the format of the
    graph.
    """
    found: dict[str, Contender] = {}
    absent: dict[str, str] = {}
    formats: tuple[bool, ...] = (False, True)
    for name, make in zip(NAMES, (_eager, _graph, _compiled), strict=True):
        if make is _compiled and not compiled:
            continue
        try:
            tried = [make(training, batch, device, last) for last in formats]
            seconds = [each.clock(each.call, TRIAL_CALLS) for each in tried]
            best = seconds.index(min(seconds))
            found[name] = tried[best]
            formats = formats if make is _eager else (formats[best],)
        except Exception as error:  # Triton and Inductor fail in many ways
            first = str(error).strip().splitlines() or [""]
            absent[f"{name}, batch {batch}"] = f"{type(error).__name__}: {first[0]}"[:200]
    return found, absent


def answer(device: str = "cuda") -> Contender:
    """Return the contender that reads one image from the host to the host, eager."""
    import torch

    network, x = torch_network().to(device).eval(), torch_batch(1)[0]

    def read() -> Any:
        with torch.inference_mode():
            return torch.softmax(network(x.to(device)), dim=1).cpu()

    return Contender(read, 1)


def _work(
    training: bool, batch: int, device: str, last: bool, mode: str | None
) -> Callable[[], Any]:
    """A function that trains a step, or reads, on a batch that is on the device."""
    import torch

    layout = torch.channels_last if last else torch.contiguous_format
    network = torch_network().to(device, memory_format=layout)
    x, y = torch_batch(batch)
    x, y = x.to(device).contiguous(memory_format=layout), y.to(device)
    if not training:
        network.eval()

        def probabilities() -> Any:
            return torch.softmax(network(x), dim=1)

        forward = torch.compile(probabilities, mode=mode) if mode else probabilities

        def read() -> Any:
            with torch.inference_mode():
                return forward()

        return read
    optimiser = torch.optim.SGD(
        network.parameters(), lr=CLASSIC.learning_rate, fused=device == "cuda"
    )
    criterion = torch.nn.CrossEntropyLoss()

    def loss() -> Any:
        return criterion(network(x), y)

    forward = torch.compile(loss, mode=mode) if mode else loss

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        forward().backward()
        optimiser.step()

    return step


def _eager(training: bool, batch: int, device: str, last: bool) -> Contender:
    return _warm(_work(training, batch, device, last, None), batch, device)


def _compiled(training: bool, batch: int, device: str, last: bool) -> Contender:
    return _warm(_work(training, batch, device, last, "max-autotune"), batch, device)


def _graph(training: bool, batch: int, device: str, last: bool) -> Contender:
    import torch

    work = _work(training, batch, device, last, None)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return _warm(graph.replay, batch, device)


def _warm(call: Callable[[], Any], batch: int, device: str) -> Contender:
    for _ in range(3):
        call()
    return Contender(call, batch, clock=_clock) if device == "cuda" else Contender(call, batch)


def _clock(call: Callable[[], object], repeats: int) -> float:
    """Seconds per call, by PyTorch's events around all calls."""
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / repeats
