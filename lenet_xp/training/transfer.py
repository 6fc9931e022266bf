"""Parameters handed from a trained network to one that goes on from it."""

from collections.abc import Iterator, Sequence

from lenet_xp.layers import Conv2D, Layer, Linear, Rubbish
from lenet_xp.model import Sequential


def begin_from(network: Sequential, start: Sequential, rows: Sequence[int] | None = None) -> None:
    """Give a network the parameters of a trained one, which may have more or fewer outputs.

    rows: for each output of the network, the output of `start` that it goes on from, or -1 for a
    new one, which keeps its weights. By default the first outputs are those of `start`.
    Raises ValueError where the layers differ before the outputs; it names both.
    """
    for one, other in zip(_in_words(network), _in_words(start), strict=True):
        if one != other:
            raise ValueError(f"the network has {one} where the trained one has {other}")
    *ours, weight, bias = network.parameters().values()
    *theirs, old_weight, old_bias = (
        start.ops.to_host(p.value) for p in start.parameters().values()
    )
    asarray, known = network.ops.asarray, len(old_bias)
    for parameter, value in zip(ours, theirs, strict=True):
        parameter.value[...] = asarray(value)
    for row, old in enumerate(range(weight.shape[0]) if rows is None else rows):
        if 0 <= old < known:
            weight.value[row, :] = asarray(old_weight[old])
            bias.value[row : row + 1] = asarray(old_bias[old : old + 1])


def convolution_parameters(network: Sequential) -> int:
    """The number of parameters up to the last convolution: those in front of the flat vector."""
    sizes = [layer.num_parameters for layer in network.layers]
    last = [place for place, layer in enumerate(network.layers) if isinstance(layer, Conv2D)][-1:]
    return sum(sizes[: last[0] + 1]) if last else 0


def _in_words(network: Sequential) -> Iterator[str]:
    """The input and each layer in words, without the number of outputs.

    ValueError for a network that does not end with a dense layer.
    """
    layers = [layer for layer in network.layers if not isinstance(layer, Rubbish)]
    if not isinstance(layers[-1], Linear):
        raise ValueError(f"a network with {layers[-1].name} for its output cannot be fine-tuned")
    yield f"images of {network.input_shape}"
    for layer in layers:
        yield _words(layer, layers[-1])


def _words(layer: Layer, output: Layer) -> str:
    options = [name for name in layer.options if layer is not output or name != "out_features"]
    return " ".join([f"{type(layer).__name__}", *(f"{k}={getattr(layer, k)}" for k in options)])
