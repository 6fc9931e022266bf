"""The page's own network and framing, in Node, against Python's."""

import json
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from demo_server import pen_strokes

from lenet_xp.architecture import layers_of
from lenet_xp.demo.site import site_files
from lenet_xp.inference import input_gradient
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import Sequential
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.training.recipes import lenet5_1998

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

TAUGHT = 5  # images, of the first so many classes
RUN = """
import { readFileSync } from "node:fs";
import { prepared } from "./framing.js";
import { Network, shared } from "./network.js";
import { centred } from "./pen.js";

const model = JSON.parse(readFileSync("model.json"));
const numbers = new Float32Array(new Uint8Array(readFileSync("model.bin")).buffer);
const network = new Network(model, numbers);
const { drawings, images, heights } = JSON.parse(readFileSync("given.json"));
const inks = drawings.map((each) => centred(each));
const seen = inks.map((each) => prepared(each, model.preprocessing));
const read = (levels) => {
  const probabilities = network.read(levels);
  const best = probabilities.indexOf(Math.max(...probabilities));
  const split = heights.map((each) => [...shared(probabilities, model.class_names, each)]);
  return { probabilities: [...probabilities], best, gradient: [...network.saliency(best)], split };
};
const taught = images.slice(0, TAUGHT).map((each, i) => network.learn(Uint8Array.from(each), i));
console.log(JSON.stringify({
  losses: taught.map((each) => each.loss),
  slopes: [...network.slopes],
  inks: inks.map((each) => Buffer.from(each).toString("base64")),
  seen: seen.map((each) => [...each]),
  drawn: seen.map(read),
  read: images.map((each) => read(Uint8Array.from(each))),
}));
"""
HEIGHTS = (None, 0.4, 0.73, 1.1)
DRAWN = 500


def in_node(folder, saved, drawings=(), images=()):
    """What the page's modules make of drawings and of images (N, C, S, S) uint8."""
    for name, content in site_files(saved, photos=False).items():
        (folder / name).write_bytes(content)
    (folder / "package.json").write_text('{"type": "module"}')
    given = {"drawings": drawings, "images": [i.reshape(-1).tolist() for i in images]}
    (folder / "given.json").write_text(json.dumps(given | {"heights": HEIGHTS}))
    (folder / "run.js").write_text(RUN.replace("TAUGHT", str(TAUGHT)))
    ran = subprocess.run(["node", "run.js"], cwd=folder, capture_output=True, timeout=100)
    assert not ran.stderr, ran.stderr.decode()
    return json.loads(ran.stdout)


def scribbles(rng):
    """Dots, bars whichever way they lean, and strokes at random, large and small."""
    yield [[[0.5, 0.5]]]
    yield [[[0.5, 0.5], [0.51, 0.5]]]
    yield [[[0.1, 0.1]], [[0.9, 0.9]]]
    for angle in np.linspace(0, np.pi, 20):
        yield [[[0.5 + s * 0.4 * np.cos(angle), 0.5 + s * 0.4 * np.sin(angle)] for s in (-1, 1)]]
    while True:
        size = rng.uniform(0.01, 0.4)
        yield [
            (0.5 + size * rng.uniform(-1, 1, (rng.integers(1, 9), 2))).tolist()
            for _ in range(rng.integers(1, 4))
        ]


@pytest.fixture(scope="module")
def drawings():
    drawn = [pen_strokes(each.name, number) for number in range(12) for each in letters()]
    more = scribbles(np.random.default_rng(0))
    return drawn + [next(more) for _ in range(DRAWN - len(drawn))]


def inks(result):
    """The page's ink, bright on 0."""
    return [np.frombuffer(b64decode(each), np.uint8).reshape(256, 256) for each in result["inks"]]


def test_five_hundred_drawings_are_framed_and_read_as_python_does(tmp_path, drawings):
    saved = load_model(SHIPPED, get_ops("numpy"))
    dark = replace(saved.preprocessing, polarity="dark-on-light")
    result = in_node(tmp_path, saved, drawings)
    seen = np.stack([dark.apply(255 - each) for each in inks(result)])
    pixels = np.array(result["seen"]).reshape(seen.shape)
    assert len(pixels) == DRAWN and np.abs(pixels - seen).max() <= 1
    assert (pixels == seen).all((1, 2)).mean() > 0.99
    rows = saved.probabilities(seen)
    told = np.array([each["probabilities"] for each in result["drawn"]])
    assert np.abs(told - rows).max() <= 1e-5
    gradient = input_gradient(saved.model, seen, dark, [each["best"] for each in result["drawn"]])
    ours = np.array([each["gradient"] for each in result["drawn"]]).reshape(gradient.shape)
    assert np.abs(ours - gradient).max() <= 1e-5 * np.abs(gradient).max()
    for place, height in enumerate(HEIGHTS):
        split = np.array([each["split"][place] for each in result["drawn"]])
        expected = shared_out(rows, height, saved.class_names)
        np.testing.assert_allclose(split, expected, atol=1e-5)


def test_ink_is_where_the_pen_was(tmp_path, drawings):
    """Against strokes that OpenCV draws eight times as large."""
    some = [each for each in drawings[:33] if all(len(stroke) > 2 for stroke in each)]
    result = in_node(tmp_path, load_model(SHIPPED, get_ops("numpy")), some)
    for strokes, ink in zip(some, inks(result), strict=True):
        points = np.concatenate(strokes)
        low, high = points.min(0), points.max(0)
        scale, large = 150 / (high - low).max(), np.zeros((2048, 2048), np.uint8)
        for stroke in strokes:
            placed = (np.array(stroke) - (low + high) / 2) * scale + 128
            cv2.polylines(large, [np.rint(placed * 8 - 0.5).astype(np.int32)], False, 255, 48)
        expected = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
        both = np.minimum(ink, expected).sum() / np.maximum(ink, expected).sum(dtype=float)
        assert both > 0.9


def taught(network, images, preprocessing):
    """The losses of images of classes 0, 1, ..., and the gradient of their sum."""
    ops = network.ops
    logits = network.forward(ops.image_batch(images, *preprocessing.scale_and_shift()))
    losses, _, dlogits = SoftmaxCrossEntropy(ops)(logits, np.arange(len(images)), scale=1.0)
    network.backward(dlogits)
    return losses, network.gradients.copy()


def any_networks():
    """Networks of every kind of layer, small and odd."""
    names = [each.name for each in letters()]
    yield lenet5_1998(names, get_ops("numpy")), {}
    tables = [
        {"kind": "conv2d", "out_channels": 5, "kernel": [3, 4], "stride": 2, "padding": 2},
        {"kind": "tanh"},
        {"kind": "maxpool2d", "size": 3},
        {"kind": "conv2d", "out_channels": 4, "kernel": [2, 2], "padding": 1},
        {"kind": "scaled_tanh"},
        {"kind": "avgpool2d", "size": 2},
        {"kind": "map_affine", "channels": 4},
        {"kind": "relu"},
        {"kind": "flatten"},
        {"kind": "linear", "out_features": 33},
        {"kind": "rubbish", "j": 1},
    ]
    for size, channels, how in (
        (32, 1, {"framing": "keep"}),
        (48, 3, {"channels": 3}),
        (28, 1, {"contrast": False}),
    ):
        shape = (channels, size, size)
        network = Sequential(layers_of(tables, shape, 33), shape, get_ops("numpy"))
        yield network, {"size": size, **how}


@pytest.mark.parametrize(("network", "how"), list(any_networks()))
def test_any_network_of_the_packages_layers_reads_as_in_python(tmp_path, drawings, network, how):
    saved = load_model(SHIPPED, get_ops("numpy"))
    preprocessing = Preprocessing(**how, mean=0.2, std=0.3)
    saved = replace(saved, model=network, preprocessing=preprocessing, temperature=0.7)
    rng = np.random.default_rng(0)
    network.values[...] = rng.normal(0, 0.1, network.values.shape)
    images = rng.integers(0, 256, (40, *preprocessing.shape), dtype=np.uint8)
    planes = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    result = in_node(tmp_path, saved, drawings[::50], planes)
    told = np.array([each["probabilities"] for each in result["read"]])
    np.testing.assert_allclose(told, saved.probabilities(images), atol=1e-5)
    gradient = input_gradient(network, images, preprocessing, [e["best"] for e in result["read"]])
    ours = np.array([each["gradient"] for each in result["read"]]).reshape(gradient.shape)
    assert np.abs(ours - gradient).max() <= 1e-5 * np.abs(gradient).max()
    losses, slopes = taught(network, images[:TAUGHT], preprocessing)
    np.testing.assert_allclose(result["losses"], losses, rtol=1e-5)
    assert np.abs(np.array(result["slopes"]) - slopes).max() <= 1e-5 * np.abs(slopes).max()
    dark = replace(preprocessing, polarity="dark-on-light")
    seen = np.stack([dark.apply(255 - each) for each in inks(result)])
    seen = seen.reshape(*seen.shape[:3], -1).transpose(0, 3, 1, 2)
    assert np.abs(np.array(result["seen"]).reshape(seen.shape) - seen).max() <= 1


TRAIN = """
import { readFileSync } from "node:fs";
import { path } from "./pen.js";
import { Training } from "./training.js";

const model = JSON.parse(readFileSync("model.json"));
const letters = ["yab", "yaz", "yat", "yan"].map((name) => (
  { place: model.class_names.indexOf(name), path: model.templates[name].map(path) }));
const training = new Training(model, letters), steps = training.steps();
while (training.losses.length < 40) steps.next();
console.log(JSON.stringify({ losses: training.losses, accuracy: training.accuracy }));
"""


def test_a_network_learns_in_the_page(tmp_path):
    in_node(tmp_path, load_model(SHIPPED, get_ops("numpy")))
    (tmp_path / "train.js").write_text(TRAIN)
    ran = subprocess.run(["node", "train.js"], cwd=tmp_path, capture_output=True, timeout=200)
    assert not ran.stderr, ran.stderr.decode()
    result = json.loads(ran.stdout)
    assert result["losses"][0] > 2.5 and np.mean(result["losses"][-10:]) < 0.8
    assert result["accuracy"] > 0.6  # of letters it had not seen; guessing has 0.03
