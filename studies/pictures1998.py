"""Draw the LeNet-5 of 1998 beside today's, both trained on the same generated letters.

Four pictures: the learning rates of all parameters, the kernels of C3, the maps that both make of
one letter, and what F6 makes of letters beside their codes.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.curvature import curvature
from lenet_xp.data.sources import load_dataset
from lenet_xp.inference import feature_maps
from lenet_xp.layers import Conv2D
from lenet_xp.model import Sequential
from lenet_xp.ops import get_ops
from lenet_xp.optim import SDLM
from lenet_xp.outputs import Codes
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.plots.canvas import save
from lenet_xp.system.files import make_folder
from lenet_xp.training.loop import LabelledImages, fit
from lenet_xp.training.recipes import BEST, PUBLISHED, Recipe
from lenet_xp.training.trainer import MEASURED
from studies.plots import lenet1998 as plots

SHOWN = "yaz"
WITH_CODES = "ya", "yab", "yach", "yaf", "yar", "yas", "yaz", "yazz"
ROWS, COLUMNS = 12, 7  # of a code
STAGES = "C1", "S2", "C3", "S4"
EXAMPLES = """\
  python -m studies.pictures1998
      rates.png, kernels.png, maps.png and codes.png in results/lenet1998"""


def rates_of(model: Sequential, train: LabelledImages, pre: Preprocessing) -> dict[str, np.ndarray]:
    """The rate of each layer's free parameters in the first pass of the recipe."""
    count = len(train[1])
    chosen = np.random.default_rng(0).choice(count, min(MEASURED, count), replace=False)
    x = model.ops.image_batch(train[0][chosen], *pre.scale_and_shift())
    optimiser = SDLM(model.ops, model.values, model.gradients)
    optimiser.measured(curvature(model, x, train[1][chosen]) / len(chosen))
    model.gradients[...] = PUBLISHED.learning_rate * optimiser.inverse
    rates: dict[str, list[np.ndarray]] = {}
    masks = {each.name: each.masked for each in model.layers if isinstance(each, Conv2D)}
    for name, param in model.parameters().items():
        layer, _, kind = name.partition(".")
        rate = param.gradient
        if kind == "weight" and layer in masks:
            rate = masks[layer](rate)  # 0 where nothing is connected
        rates.setdefault(layer, []).append(rate[rate > 0])
    return {name: np.concatenate(each) for name, each in rates.items()}


def trained(recipe: Recipe, names: tuple[str, ...], train: LabelledImages) -> Sequential:
    """A network of the recipe, trained on generated letters."""
    pre = recipe.fitted(recipe.preprocessing(), train[0])
    model = recipe.make_network(len(names), get_ops("numpy"), class_names=names)
    few = train[0][:100], train[1][:100]  # `fit` wants validation images; nothing is chosen
    fit(model, recipe, train, few, pre, threads=1)
    return model


def stages_of(model: Sequential, image: np.ndarray, pre: Preprocessing) -> dict[str, np.ndarray]:
    """The maps of C1, S2, C3 and S4 for an image."""
    made = feature_maps(model, image, pre)
    return {name: made[name] for name in STAGES}


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.pictures1998", __doc__, EXAMPLES)
    p.add_argument("--samples", type=whole_number(4), default=200, help="of each letter")
    p.add_argument("--epochs", type=whole_number(1), default=20, help="of both (default: 20)")
    p.add_argument("--out", type=Path, default=Path("results/lenet1998"), metavar="FOLDER")
    options = p.parse_args(arguments)
    recipes = [each.with_options(epochs=options.epochs) for each in (PUBLISHED, BEST)]
    dataset = load_dataset("synthetic", samples_per_class=options.samples)
    names, train = dataset.class_names, (dataset.images, dataset.labels)
    fresh = load_dataset("synthetic", samples_per_class=1, seed=1)  # nothing that was learned from
    letters = {name: fresh.images[np.flatnonzero(fresh.labels == k)[0]]
               for k, name in enumerate(fresh.class_names)}  # fmt: skip
    old, new = (trained(each, names, train) for each in recipes)
    pres = [each.fitted(each.preprocessing(), train[0]) for each in recipes]
    out = make_folder(options.out)
    untrained = PUBLISHED.make_network(len(names), get_ops("numpy"), class_names=names)
    save(plots.learning_rates(rates_of(untrained, train, pres[0])), out / "rates.png")
    c3 = [next(each for each in of.layers if each.name == "C3") for of in (old, new)]
    connections = getattr(c3[0], "connections", ())
    weights = [each.weight.value for each in c3 if isinstance(each, Conv2D)]
    save(plots.kernels(weights[0], connections, weights[1]), out / "kernels.png")
    shown = {
        title: stages_of(model, letters[SHOWN], pre)
        for title, model, pre in zip(("1998", "today"), (old, new), pres, strict=True)
    }
    save(plots.maps(letters[SHOWN], shown), out / "maps.png")
    save(
        _codes(old, pres[0], names, {name: letters[name] for name in WITH_CODES}), out / "codes.png"
    )


def _codes(
    model: Sequential, pre: Preprocessing, names: tuple[str, ...], images: dict[str, np.ndarray]
) -> Figure:
    """The picture of F6 and the codes; the output layer keeps what F6 gave."""
    output = next(each for each in model.layers if isinstance(each, Codes))
    answers, known = {}, {}
    for name, image in images.items():
        model.trace(model.ops.image_batch(image[None], *pre.scale_and_shift()))
        answers[name] = output.x.reshape(ROWS, COLUMNS).copy()
        known[name] = output.doubled[names.index(name)].reshape(ROWS, COLUMNS) / 2
    return plots.codes(answers, known)


if __name__ == "__main__":
    sys.exit(run(main))
