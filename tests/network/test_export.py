"""Exported files: what other programs read in them is what the model says, or there is no file."""

import json
import sys

import numpy as np
import pytest
from commandline import ROOT, call, files_in
from tolerances import EXPORT

from lenet_xp import export
from lenet_xp.architecture import describe
from lenet_xp.errors import InputError
from lenet_xp.export import export_model
from lenet_xp.layers import ACTIVATIONS
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SHIPPED, SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing

__all__ = ["call"]  # the fixture

onnx = pytest.importorskip("onnx", reason="needs the packages of the extra 'export'")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")

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
    assert done.size == (tmp_path / "model.onnx").stat().st_size and done.difference <= EXPORT
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
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_any_number_of_classes_and_either_dtype(tmp_path, ending, dtype):
    for count in (2, 257):
        names = tuple(f"class {number}" for number in range(count))
        done = export_model(make(names=names, dtype=dtype), tmp_path / f"{count}.{ending}")
        assert 0 < done.difference <= EXPORT


def encode_as(monkeypatch, ending, encode):
    """Have files of an ending written by another function."""
    ending = f".{ending}"
    monkeypatch.setitem(export._FORMATS, ending, (encode, export._FORMATS[ending][1]))


def damaged(encode, old, new):
    """encode, but for one float32 in its bytes."""

    def wrong(saved):
        content, old_bytes = encode(saved), np.float32(old).tobytes()
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
    assert len(files_in(tmp_path)) == 1


def test_a_wrong_temperature_is_noticed(tmp_path, monkeypatch):
    encode = export._FORMATS[".onnx"][0]
    encode_as(monkeypatch, "onnx", damaged(encode, 1.7, 1.70001))
    export_model(make(), tmp_path / "near.onnx")
    encode_as(monkeypatch, "onnx", damaged(encode, 1.7, 1.71))
    with pytest.raises(InputError, match="probabilities are off by"):
        export_model(make(), tmp_path / "far.onnx")
    assert files_in(tmp_path) == ["near.onnx"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_cannot_be_opened_leaves_nothing(tmp_path, monkeypatch, ending):
    encode_as(monkeypatch, ending, lambda saved: b"half a file")
    with pytest.raises(InputError, match="not written, for"):
        export_model(make(), tmp_path / f"model.{ending}")
    assert files_in(tmp_path) == []


# PyTorch


@pytest.mark.parametrize(("activation", "squash_pools"), NETWORKS)
def test_the_example_for_pytorch_gives_the_probabilities(
    tmp_path, monkeypatch, images, activation, squash_pools
):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    monkeypatch.chdir(tmp_path)
    saved = make(activation, squash_pools, ("a", "b", "c", "d"))
    export_model(saved, "model.safetensors")
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8").split("## PyTorch")[1]
    example = {}
    exec(text.split("```python\n")[2].split("```")[0], example)
    with torch.inference_mode():
        got = example["probabilities"](torch.from_numpy(images)).numpy()
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
        got = torch.softmax(example["net"](pixels) / saved.temperature, dim=1).numpy()
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
