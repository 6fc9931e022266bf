"""Exported files: what other programs read in them is what the model says, or there is no file."""

import copy
import errno
import json
import os
import sys

import numpy as np
import pytest
from commandline import ROOT, call, files_in, finish, start
from tolerances import EXPORT

from lenet_xp import export, lenet5_1998
from lenet_xp.architecture import describe
from lenet_xp.errors import InputError
from lenet_xp.export import export_model
from lenet_xp.layers import (
    ACTIVATIONS,
    AvgPool2D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    Tanh,
)
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import SHIPPED, SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system import files

__all__ = ["call"]  # the fixture

onnx = pytest.importorskip("onnx", reason="needs the packages of the extra 'export'")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")
onnx_graph = pytest.importorskip("lenet_xp.export.onnx_graph")

PREPROCESSING = Preprocessing(polarity="dark-on-light", framing="keep", mean=0.21, std=0.33)
NETWORKS = [(kind, squash) for kind in sorted(ACTIVATIONS) for squash in (True, False)]
ENDINGS = ("onnx", "safetensors")


def make(activation="tanh", squash_pools=True, names=None, dtype="float32", temperature=1.7):
    """A model with biases, on letters unless other names are given."""
    names = tuple(each.name for each in letters()) if names is None else names
    config = {"activation": activation, "squash_pools": squash_pools}
    model = LeNet5(len(names), **config, seed=4, ops=get_ops("numpy", dtype))
    model.values[...] += np.random.default_rng(5).normal(scale=0.1, size=model.values.shape)
    return SavedModel(model, PREPROCESSING, names, {}, temperature=temperature)


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(1).integers(0, 256, (39, 32, 32), dtype=np.uint8)
    return np.concatenate([noise, PREPROCESSING.apply_all(generate(1, seed=9)[0])])[:64]


def open_onnx(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


# ONNX


@pytest.mark.parametrize(("activation", "squash_pools"), NETWORKS)
def test_onnx_runtime_reads_what_the_model_reads(tmp_path, images, activation, squash_pools):
    saved = make(activation, squash_pools)
    done = export_model(saved, tmp_path / "model.onnx")
    assert 0 <= done <= EXPORT
    session = open_onnx(tmp_path / "model.onnx")
    expected = saved.probabilities(images)
    assert np.ptp(expected, axis=0).max() > 0.1  # images are told apart
    for count in (1, 7, 64):
        logits, got = session.run(["logits", "probabilities"], {"images": images[:count]})
        assert got.shape == logits.shape == (count, 33)
        np.testing.assert_allclose(got, expected[:count], rtol=0, atol=EXPORT)
        odds = np.exp(logits - logits.max(1, keepdims=True)) ** (1 / 1.7)
        np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), got, rtol=0, atol=EXPORT)


def test_the_graph_says_what_it_takes_and_gives(tmp_path):
    export_model(make(names=("a", "b")), tmp_path / "model.onnx")
    (given,), results = (
        open_onnx(tmp_path / "model.onnx").get_inputs(),
        open_onnx(tmp_path / "model.onnx").get_outputs(),
    )
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["N", 32, 32])
    assert [(r.name, r.shape) for r in results] == [
        ("logits", ["N", 2]),
        ("probabilities", ["N", 2]),
    ]
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


# Any network


GREY, COLOUR = (1, 32, 32), (3, 32, 32)
CONV_3X3 = (Conv2D(1, 8, 3, padding=1), ReLU(), MaxPool2D(), Conv2D(8, 8, 3, padding=1), ReLU())
NAMED = (Tanh("images"), ReLU("Cast"), Flatten("logits"), Linear(1024, 3, "scale"))
OTHERS = {  # the shape of an image, classes, layers
    "3x3 with padding": (GREY, 10, *CONV_3X3, AvgPool2D(4), Flatten(), Linear(128, 10)),
    "pools that cut": (GREY, 5, MaxPool2D(3), Tanh(), AvgPool2D(3), Flatten(), Linear(9, 5)),
    "stride 2": (
        *(GREY, 3, Conv2D(1, 4, (5, 3), stride=2, padding=1), ScaledTanh()),
        *(Flatten(), Linear(960, 3)),
    ),
    "colour": (COLOUR, 6, Conv2D(3, 6, 3), ReLU(), AvgPool2D(6), Flatten(), Linear(150, 6)),
    "colour, dense alone": (COLOUR, 2, Flatten(), Linear(3072, 2)),
    "no activation": (GREY, 4, Conv2D(1, 3, 5), AvgPool2D(), Flatten(), Linear(588, 4)),
    "two classes": (GREY, 2, Conv2D(1, 2, 5), Tanh(), Flatten(), Linear(1568, 2)),
    "1,000 classes": (
        *(GREY, 1000, Conv2D(1, 4, 5), ReLU(), MaxPool2D(4)),
        *(Flatten(), Linear(196, 1000)),
    ),
    "dense alone": (GREY, 4, Flatten(), Linear(1024, 4)),
    "activations at both ends": (
        *(GREY, 3, ScaledTanh(), Flatten(), Linear(1024, 9), ReLU()),
        *(Linear(9, 3), ScaledTanh()),
    ),
    "flattened at the end": (GREY, 7, AvgPool2D(4), Conv2D(1, 7, 8), Flatten()),
    "no parameters": (GREY, 16, AvgPool2D(8), Flatten(), ReLU(), Flatten()),
    "28 pixels": ((1, 28, 28), 3, Conv2D(1, 2, 5), MaxPool2D(), Flatten(), Linear(288, 3)),
    "1998": (GREY, 10, *lenet5_1998().layers),
    "1998, eq. 8": (GREY, 10, *lenet5_1998(eq=8).layers),
    "names like the graph's own": (
        *(GREY, 2, *NAMED),
        *(ScaledTanh("probabilities"), Linear(3, 2, "temperature")),
    ),
}


def wrapped(shape, classes, *layers):
    """A model of any network."""
    model = Sequential(copy.deepcopy(list(layers)), shape, get_ops("numpy", "float32"), seed=3)
    model.values[...] += np.random.default_rng(5).normal(scale=0.05, size=model.values.shape)
    for layer in model.layers:
        if isinstance(layer, Conv2D):
            layer.masked(layer.weight.value, layer.weight.value)
    names = tuple(f"class {number}" for number in range(classes))
    preprocessing = Preprocessing(size=shape[1], channels=shape[0], mean=0.21, std=0.33)
    return SavedModel(model, preprocessing, names, {}, temperature=1.3)


def expected_of(saved, images):
    """Logits and probabilities (N, K), from the forward pass alone."""
    scaling, model = saved.preprocessing, saved.model
    grey = images[..., None] if images.ndim == 3 else images
    x = (grey.transpose(3, 1, 2, 0) / 255 - scaling.mean) / scaling.std
    logits = model.forward(x.astype(np.float32)).T.astype(float)
    odds = np.exp((logits - logits.max(1, keepdims=True)) / 1.3)
    return logits, odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize("name", OTHERS)
def test_onnx_runtime_reads_any_network(tmp_path, name):
    saved = wrapped(*OTHERS[name])
    shape = saved.model.input_shape
    size = shape[1:] if shape[0] == 1 else (*shape[1:], shape[0])
    images = np.random.default_rng(1).integers(0, 256, (70, *size), dtype=np.uint8)
    # safetensors before 0.5 cannot open a file without arrays.
    for ending in ENDINGS if saved.model.values.size else ("onnx",):
        done = export_model(saved, tmp_path / f"model.{ending}")
        assert done <= EXPORT
    session = open_onnx(tmp_path / "model.onnx")
    assert session.get_inputs()[0].shape == ["N", *size]
    for count in (1, 70):
        got = session.run(["logits", "probabilities"], {"images": images[:count]})
        logits, probabilities = expected_of(saved, images[:count])
        assert np.ptp(probabilities, axis=1).max() > 1e-3  # classes are told apart
        np.testing.assert_allclose(got[1], probabilities, rtol=0, atol=EXPORT)
        limit = EXPORT * max(1, np.abs(logits).max())
        np.testing.assert_allclose(got[0], logits, rtol=0, atol=limit)


def test_a_layer_of_a_user_is_named(tmp_path):
    class Twice(Layer):
        kind = "twice"

    saved = wrapped(GREY, 3, Flatten(), Twice("double"), Linear(1024, 3))
    for ending in ENDINGS:
        with pytest.raises(ValueError, match="double is a Twice, none of the package's layers"):
            export_model(saved, tmp_path / f"model.{ending}")
    assert files_in(tmp_path) == []


# Both


def description(path):
    if path.suffix == ".onnx":
        texts = {each.key: each.value for each in onnx.load(path).metadata_props}
    else:
        content = path.read_bytes()  # by the format's own definition
        length = int.from_bytes(content[:8], "little")
        texts = json.loads(content[8 : 8 + length])["__metadata__"]
    return {name: json.loads(text) for name, text in texts.items()}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_says_all_that_its_use_needs(tmp_path, ending):
    path = tmp_path / f"model.{ending}"
    saved = make("relu", False, ("yaz", "yagw", 'ⵣ, or "yaz"'))
    export_model(saved, path)
    told = description(path)
    assert told["class_names"] == ["yaz", "yagw", 'ⵣ, or "yaz"']
    assert told["glyphs"] == ["ⵣ", "ⴳⵯ", 'ⵣ, or "yaz"']
    assert told["latin"][:2] == ["z", "gʷ"]
    assert Preprocessing.from_dict(told["preprocessing"]) == PREPROCESSING
    assert told["temperature"] == 1.7
    assert told["network"] == describe(saved.model) and told["threshold"] == 0.0


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_json_beside_the_file_says_the_same(tmp_path, ending):
    path = tmp_path / f"model.{ending}"
    export_model(make("relu", False, ("yaz", "yagw", 'ⵣ, or "yaz"')), path)
    beside = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert beside == description(path) and beside["format"] == "lenet_xp export"
    assert files_in(tmp_path) == sorted(["model.json", f"model.{ending}"])
    export_model(make(temperature=2.5), path)  # an earlier export's is replaced
    assert json.loads((tmp_path / "model.json").read_bytes())["temperature"] == 2.5


@pytest.mark.parametrize(
    "content",
    [
        b'{"name": "letters"}',
        b"[1]",
        b"",
        b"\xff{",
        b"[" * 100_000,
        b'{"format": "other"}',
        b"null",
    ],
)
def test_a_json_of_another_kind_is_not_replaced(tmp_path, content):
    other = tmp_path / "model.json"
    other.write_bytes(content)
    for ending in ENDINGS:
        with pytest.raises(InputError, match=r"model\.json: .*is another file"):
            export_model(make(), tmp_path / f"model.{ending}")
    assert other.read_bytes() == content and files_in(tmp_path) == ["model.json"]


@pytest.mark.parametrize("failing", (1, 2))
def test_a_full_disk_leaves_both_files_as_they_were(tmp_path, monkeypatch, failing):
    export_model(make(), tmp_path / "model.onnx")
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    synced, calls = files.os.fsync, iter(range(1, 10))

    def fsync(handle):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(InputError, match=r"cannot write .*model.*No space left"):
        export_model(make(temperature=2.5), tmp_path / "model.onnx")
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


def test_a_file_that_grows_too_large_is_not_the_models_fault(tmp_path):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = finish(start("export", "--to", "letters.onnx", cwd=tmp_path, preexec_fn=limit))
    done.assert_refused("letters.onnx", "raise the limit")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("place", ("model.onnx", "model.json"))
def test_a_folder_in_the_place_of_a_file_leaves_neither(tmp_path, place):
    (tmp_path / place).mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        export_model(make(), tmp_path / "model.onnx")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_any_number_of_classes_and_either_dtype(tmp_path, ending, dtype):
    for count in (2, 257):
        names = tuple(f"class {number}" for number in range(count))
        done = export_model(make(names=names, dtype=dtype), tmp_path / f"{count}.{ending}")
        assert 0 <= done <= EXPORT


def encode_as(monkeypatch, ending, encode):
    """Have files of an ending written by another function."""
    ending = f".{ending}"
    monkeypatch.setitem(export._FORMATS, ending, (encode, export._FORMATS[ending][1]))


def damaged(encode, old, new):
    """encode, but for one float32 in its bytes."""

    def wrong(*what):
        content, old_bytes = encode(*what), np.float32(old).tobytes()
        assert old_bytes in content
        return content.replace(old_bytes, np.float32(new).tobytes(), 1)

    return wrong


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("new", (0.0, np.nan))
def test_other_probabilities_leave_nothing(tmp_path, monkeypatch, ending, new):
    saved = make("relu")
    weight = saved.model.parameters()["output.bias"].value[3]
    encode_as(monkeypatch, ending, damaged(export._FORMATS[f".{ending}"][0], weight, new))
    with pytest.raises(InputError, match="not written, for its logits are off by"):
        export_model(saved, tmp_path / f"model.{ending}")
    assert files_in(tmp_path) == []
    (tmp_path / f"model.{ending}").write_text("an older one")
    with pytest.raises(InputError):
        export_model(saved, tmp_path / f"model.{ending}")
    assert (tmp_path / f"model.{ending}").read_text() == "an older one"
    assert len(files_in(tmp_path)) == 1  # no .json of a file that is not there


def test_a_wrong_temperature_is_noticed(tmp_path, monkeypatch):
    encode = export._FORMATS[".onnx"][0]
    encode_as(monkeypatch, "onnx", damaged(encode, 1.7, 1.70001))
    export_model(make(), tmp_path / "near.onnx")
    encode_as(monkeypatch, "onnx", damaged(encode, 1.7, 1.71))
    with pytest.raises(InputError, match="probabilities are off by"):
        export_model(make(), tmp_path / "far.onnx")
    assert files_in(tmp_path) == ["near.json", "near.onnx"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_cannot_be_opened_leaves_nothing(tmp_path, monkeypatch, ending):
    encode_as(monkeypatch, ending, lambda *what: b"half a file")
    with pytest.raises(InputError, match="not written, for"):
        export_model(make(), tmp_path / f"model.{ending}")
    assert files_in(tmp_path) == []


# PyTorch


@pytest.mark.parametrize(("activation", "squash_pools"), NETWORKS)
def test_the_example_for_pytorch_gives_the_probabilities(
    tmp_path, monkeypatch, images, activation, squash_pools
):
    monkeypatch.chdir(tmp_path)
    follow_the_example_for_any_network(make(activation, squash_pools, ("a", "b", "c", "d")), images)


@pytest.mark.parametrize("name", OTHERS)
def test_the_example_for_pytorch_takes_any_network(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    saved = wrapped(*OTHERS[name])
    follow_the_example_for_any_network(saved, export.trial_images(saved))


def follow_the_example_for_any_network(saved, images):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    export_model(saved, "model.safetensors")
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8").split("## PyTorch")[1]
    example = {}
    exec(text.split("```python\n")[2].split("```")[0], example)
    with torch.inference_mode():
        got = example["probabilities"](torch.from_numpy(images)).numpy()
    got = got[:, : len(saved.class_names)]
    np.testing.assert_allclose(got, saved.probabilities(images), rtol=0, atol=EXPORT)


def test_ten_lines_load_the_packages_own_model_into_pytorch(tmp_path, monkeypatch, images):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    monkeypatch.chdir(tmp_path)
    saved = load_model(SHIPPED, get_ops("numpy"))
    export_model(saved, "letters.safetensors")
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8").split("## PyTorch")[1]
    lines = text.split("```python\n")[1].split("```")[0]
    assert len(lines.strip().splitlines()) == 10
    example = {}
    exec(lines, example)
    scaling = saved.preprocessing
    pixels = (torch.from_numpy(images)[:, None] / 255 - scaling.mean) / scaling.std
    with torch.inference_mode():
        logits = torch.nn.functional.pad(example["net"](pixels), (0, 1))  # none of these
        got = torch.softmax(logits / saved.temperature, dim=1).numpy()[:, :-1]
    np.testing.assert_allclose(got, saved.probabilities(images), rtol=0, atol=EXPORT)


def test_the_example_for_onnx_names_a_letter(tmp_path, monkeypatch, capsys):
    from lenet_xp.system.opencv import cv2

    monkeypatch.chdir(tmp_path)
    picture = generate(1)[0][5]
    cv2.imwrite("letter.png", picture)
    saved = make("relu")
    export_model(saved, "letters.onnx")
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], {})
    best = saved.probabilities(PREPROCESSING.apply(picture)[None])[0].argmax()
    assert capsys.readouterr().out.strip() == letters()[best].glyph


# The command


@pytest.fixture
def file(tmp_path):
    save_model(tmp_path / "model.npz", make("scaled_tanh"))
    return tmp_path / "model.npz"


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_command_writes_and_tells(file, call, ending):
    to = file.with_suffix(f".{ending}")
    to.write_text("an older one")
    outcome = call("export", file, "--to", to)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{to}: {to.stat().st_size:,} bytes, 33 classes, ")
    assert description(to)["glyphs"] == [each.glyph for each in letters()]


def test_bad_input_is_one_line(file, call):
    folder = file.parent
    call("export", file, "--to", folder / "model.pt").assert_refused(".onnx or .safetensors")
    call("export", folder / "no.npz", "--to", folder / "a.onnx").assert_refused("no.npz", "no such")
    call("export", file, "--to", folder / "no" / "a.onnx").assert_refused("a.onnx", "No such file")
    (folder / "damaged.npz").write_bytes(file.read_bytes()[:5000])
    call("export", folder / "damaged.npz", "--to", folder / "a.onnx").assert_refused("damaged.npz")
    file.rename(folder / "model.onnx")
    itself = folder / "model.onnx"
    call("export", itself, "--to", itself).assert_refused("is the model itself")
    assert files_in(folder) == ["damaged.npz", "model.onnx"]


@pytest.mark.parametrize(
    ("missing", "ending"),
    [("onnx", "onnx"), ("onnxruntime", "onnx"), ("safetensors", "safetensors")],
)
def test_a_missing_package_is_named(file, call, monkeypatch, missing, ending):
    monkeypatch.setitem(sys.modules, missing, None)  # what makes an import fail
    refused = call("export", file, "--to", file.with_suffix(f".{ending}"))
    refused.assert_refused(f"the package {missing} ", "pip install ")
    assert files_in(file.parent) == ["model.npz"]
