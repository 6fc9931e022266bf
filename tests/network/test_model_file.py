"""The model file: what goes in comes out, and nothing else gets in."""

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.architecture import describe
from lenet_xp.errors import InputError
from lenet_xp.inference import predict_probabilities
from lenet_xp.layers import Flatten, Linear, ReLU
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.npz_file import read_container, write_container

NAMES = ("ya", "yab", "ⵣ or yaz")
PREPROCESSING = Preprocessing(polarity="dark-on-light", framing="keep", mean=0.25, std=0.3)
NOTES = {"seed": 7, "recipe": {"name": "classic"}, "samples_per_class": None}


@pytest.fixture
def numpy_ops():
    return get_ops("numpy")


@pytest.fixture
def file(tmp_path, numpy_ops):
    path = tmp_path / "model.npz"
    model = LeNet5(3, activation="relu", squash_pools=False, seed=5, ops=numpy_ops)
    save_model(path, SavedModel(model, PREPROCESSING, NAMES, NOTES))
    return path


@pytest.fixture
def old_file(tmp_path, numpy_ops):
    """The same network and seed in a file of version 1, as version 0.2 wrote it."""
    model = LeNet5(3, activation="relu", squash_pools=False, seed=5, ops=numpy_ops)
    told = PREPROCESSING.to_dict()
    told["box"] = told.pop("framing")
    del told["channels"]
    header = {
        "format": "lenet_xp model",
        "version": 1,
        "network": {"num_classes": 3, "activation": "relu", "squash_pools": False},
        "preprocessing": told,
        "class_names": list(NAMES),
        "notes": NOTES | {"temperature": 1.5},
    }
    arrays = {name: each.value for name, each in model.parameters().items()}
    write_container(tmp_path / "old.npz", header, arrays)
    return tmp_path / "old.npz"


@pytest.fixture
def refused(tmp_path, numpy_ops):
    """A function that asserts a file's content is refused in one line with the words."""

    def check(content, *words):
        path = tmp_path / "bad.npz"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_model(path, numpy_ops)
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 400
        assert all(word in message for word in words), message

    return check


def arrays_of(path):
    """A file's arrays, its checksum left out so that they can be tampered with."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    header = json.loads(arrays["header"].tobytes())
    assert len(header.pop("sha256")) == 64
    return arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}


def test_a_changed_bit_breaks_the_checksum(file, refused):
    with np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays["F6.weight"] = arrays["F6.weight"].copy()
    arrays["F6.weight"][3, 5] *= 1.0000002
    refused(packed(arrays), "checksum")


def test_a_file_without_a_checksum_opens(file, numpy_ops):
    content = packed(arrays_of(file))  # as version 0.1.0 wrote them
    file.write_bytes(content)
    assert load_model(file, numpy_ops).class_names == NAMES


def packed(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def with_header(path, change):
    """The file's bytes after `change` was applied to the header."""
    arrays = arrays_of(path)
    header = json.loads(arrays["header"].tobytes())
    header = change(header) or header
    return packed(arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_model_comes_back_as_it_was(tmp_path, ops):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (9, 32, 32), dtype=np.uint8)
    model = LeNet5(3, activation="relu", squash_pools=False, seed=5, ops=ops)
    path = tmp_path / "model.npz"
    save_model(path, SavedModel(model, PREPROCESSING, NAMES, NOTES))
    again = load_model(path, ops)
    assert describe(again.model) == describe(model)
    assert (again.preprocessing, again.class_names, again.notes) == (PREPROCESSING, NAMES, NOTES)
    np.testing.assert_array_equal(ops.to_host(again.model.values), ops.to_host(model.values))
    np.testing.assert_array_equal(
        predict_probabilities(again.model, images, PREPROCESSING, 1),
        predict_probabilities(model, images, PREPROCESSING, 1),
    )
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_a_file_of_version_1_reads_as_before(file, old_file, numpy_ops):
    old, new = load_model(old_file, numpy_ops), load_model(file, numpy_ops)
    images = np.random.default_rng(1).integers(0, 256, (9, 32, 32), dtype=np.uint8)
    assert (old.temperature, new.temperature, old.threshold, new.threshold) == (1.5, 1.0, 0.0, 0.0)
    assert (old.preprocessing, old.class_names) == (new.preprocessing, new.class_names)
    assert describe(old.model) == describe(new.model)
    np.testing.assert_array_equal(old.as_trained(images, 1), new.as_trained(images, 1))


def test_a_temperature_scales_what_users_see(file, tmp_path, numpy_ops):
    old = load_model(file, numpy_ops)
    images = np.random.default_rng(1).integers(0, 256, (9, 32, 32), dtype=np.uint8)
    plain = predict_probabilities(old.model, images, old.preprocessing, 1)
    np.testing.assert_array_equal(old.probabilities(images, 1), plain)
    warm = SavedModel(old.model, PREPROCESSING, NAMES, NOTES, temperature=1.5, threshold=0.25)
    save_model(tmp_path / "new.npz", warm)
    new = load_model(tmp_path / "new.npz", numpy_ops)
    assert (new.temperature, new.threshold) == (1.5, 0.25)
    powers = plain ** (1 / 1.5)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(new.probabilities(images, 1), expected)


def test_a_model_travels_between_dtypes(file, numpy_ops):
    double, single = load_model(file, get_ops("numpy", "float64")), load_model(file, numpy_ops)
    assert double.model.values.dtype == np.float64
    np.testing.assert_array_equal(double.model.values, single.model.values)


def test_a_failing_write_leaves_the_old_file(file, numpy_ops):
    before = file.read_bytes()
    model = LeNet5(3, ops=numpy_ops)
    with pytest.raises(TypeError):
        save_model(file, SavedModel(model, PREPROCESSING, NAMES, {"odd": object()}))
    with pytest.raises(InputError, match="cannot write"):
        save_model(file / "below" / "m.npz", SavedModel(model, PREPROCESSING, NAMES, {}))
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == ["model.npz"]


def test_missing_file_and_folder(tmp_path, numpy_ops):
    for path, word in ((tmp_path / "none.npz", "no such file"), (tmp_path, "is no file")):
        with pytest.raises(InputError, match=word) as caught:
            load_model(path, numpy_ops)
        assert str(path) in str(caught.value)


def test_what_is_no_model_file(file, refused):
    data = file.read_bytes()
    refused(b"", "not a lenet_xp model file", "give the model.npz of a run")
    refused("ⵜⵉⴼⵉⵏⴰⵖ\n".encode() * 20, "not a lenet_xp model file")
    refused(data[: len(data) // 2], "not a lenet_xp model file")
    refused(data[len(data) // 2 :], "not a lenet_xp model file")
    refused(packed({"x_train": np.zeros((9, 8, 8), np.uint8)}), "no header")
    refused(zipped({"header": b"{}"}), "not a lenet_xp model file")
    refused(zipped({"header.npy": b"{}"}), "not a lenet_xp model file")
    refused(zipped({"AMHCD/ya/ya_1.jpeg": b"\xff\xd8\xff"}), "no header")


def test_flipped_bits_are_refused_or_harmless(file, numpy_ops, tmp_path):
    data, rng = bytearray(file.read_bytes()), np.random.default_rng(0)
    whole, path, refusals = load_model(file, numpy_ops), tmp_path / "flipped.npz", 0
    ends = [*range(400), *range(len(data) - 400, len(data))]
    for place in rng.permutation([*rng.choice(ends, 120), *rng.integers(0, len(data), 40)]):
        bit = 1 << rng.integers(8)
        data[place] ^= bit
        path.write_bytes(data)
        try:
            loaded = load_model(path, numpy_ops)
        except InputError as error:
            refusals += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:  # a date or an attribute of the zip; the content is checked
            assert loaded.notes == whole.notes and loaded.class_names == whole.class_names
            np.testing.assert_array_equal(loaded.model.values, whole.model.values)
        data[place] ^= bit
    assert refusals > 80


class Explosive:
    """Leaves a mark when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return setattr, (Explosive, "exploded", True)


def test_a_pickle_is_never_opened(file, refused):
    arrays = arrays_of(file)
    bomb = np.array([Explosive()], object)
    refused(packed(arrays | {"C1.bias": bomb}), "not a lenet_xp model file")
    refused(packed(arrays | {"header": bomb}), "not a lenet_xp model file")
    refused(pickle.dumps(Explosive()), "not a lenet_xp model file")
    assert not Explosive.exploded
    pickle.loads(pickle.dumps(Explosive()))
    assert Explosive.exploded  # the mark works


def npy(shape, data=b""):
    """An array's bytes whose header declares a shape of float32, whatever follows."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize("shape", ["(10**11,)", "(100000000000,)", "(9" + "0" * 30 + ",)", "(-1,)"])
def test_huge_declared_sizes_take_no_memory(file, old_file, refused, shape):
    members = {f"{name}.npy": npy("(1,)", bytes(4)) for name in arrays_of(file)}
    tracemalloc.start()
    try:
        refused(zipped(members | {"header.npy": npy(shape)}), "not a lenet_xp model file")
        refused(zipped(members | {"zeros.npy": npy("(25000000,)", bytes(10**8))}), "too large")
        refused(with_header(old_file, lambda h: h["network"].update(num_classes=10**9)), "10")
        last = {"out_features": 2**20}
        refused(with_header(file, lambda h: h["network"]["layers"][-1].update(last)), "parameters")
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20  # the test's own zip included
    finally:
        tracemalloc.stop()


def test_an_array_that_declares_more_than_it_holds_takes_no_memory():
    content = zipped({"header.npy": npy("(1000000,)", bytes(4))})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="declares 4,000,000 bytes and holds fewer"):
            read_container(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"C1.bias": None}, ["C1.bias"]),
        ({"C1.extra": np.zeros(3, np.float32)}, ["C1.extra"]),
        ({"F6.bias": np.zeros(85, np.float32)}, ["F6.bias", "(85,)", "(84,)"]),
        ({"output.weight": np.zeros((4, 84), np.float32)}, ["output.weight", "(4, 84)"]),
        ({"C5.bias": np.full(120, np.nan, np.float32)}, ["C5.bias", "not finite"]),
        ({"C5.bias": np.full(120, np.inf, np.float32)}, ["C5.bias", "not finite"]),
        ({"C5.bias": np.full(120, 1e300)}, ["C5.bias", "not finite"]),  # as float32 it is not
        ({"C5.bias": np.zeros(120, np.int64)}, ["C5.bias", "int64"]),
        ({"C5.bias": np.zeros(120, complex)}, ["C5.bias", "complex"]),
        ({"C5.bias": np.zeros(120, "M8[s]")}, ["C5.bias", "datetime"]),
        ({"header": np.zeros(40, np.float32)}, ["header"]),
        ({"header": np.frombuffer(b"[" * 100_000, np.uint8)}, ["header"]),
        ({"header": np.frombuffer(b'{"format": ', np.uint8)}, ["header"]),
        ({"header": np.frombuffer(b"[1, 2]", np.uint8)}, ["header"]),
        ({"header": np.frombuffer(b"\xff\xfe\xfa", np.uint8)}, ["header"]),
    ],
    ids=lambda value: str(list(value))[:40],
)
def test_arrays_of_another_network(file, refused, changed, words):
    arrays = {k: v for k, v in (arrays_of(file) | changed).items() if v is not None}
    refused(packed(arrays), *words)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (["format"], "something else", ["header"]),
        (["version"], 3, ["model format 3"]),
        (["version"], True, ["model format"]),
        (["version"], "9\n9", ["model format"]),
        (["version"], None, ["model format"]),
        (["network"], None, ["network"]),
        (["network", "num_classes"], 4, ["3 class names", "4"]),
        (["network", "num_classes"], 3.0, ["num_classes"]),
        (["network", "num_classes"], 1, ["3 class names", "1"]),
        (["network", "activation"], "sine", ["activation"]),
        (["network", "activation"], ["relu"], ["activation"]),
        (["network", "squash_pools"], "no", ["squash_pools"]),
        (["network", "squash_pools"], True, None),
        (["network", "values"], "surprise", ["values"]),
        (["network", "seed"], -1, ["seed"]),
        (["class_names"], ["ya", "yab"], ["2 class names", "3"]),
        (["class_names"], "abc", ["class_names"]),
        (["class_names"], ["ya", "yab", "ya"], ["class_names"]),
        (["class_names"], ["ya", "yab", 3], ["class_names"]),
        (["preprocessing", "std"], 0, ["std"]),
        (["preprocessing", "std"], -1.0, ["std"]),
        (["preprocessing", "mean"], float("nan"), ["mean"]),
        (["preprocessing", "mean"], 10**400, ["mean"]),
        (["preprocessing", "size"], 64, ["64"]),
        (["preprocessing", "size"], 10**9, ["size"]),
        (["preprocessing", "polarity"], "sideways", ["polarity"]),
        (["preprocessing", "contrast"], "yes", ["contrast"]),
        (["preprocessing", "surprise"], 1, ["surprise"]),
        (["preprocessing"], [], ["preprocessing"]),
        (["notes"], "none", ["notes"]),
        (["notes", "temperature"], "warm", ["temperature"]),
        (["notes", "temperature"], True, ["temperature"]),
        (["notes", "temperature"], None, ["temperature"]),
        (["notes", "temperature"], 0.0, ["temperature"]),
        (["notes", "temperature"], 1e300, ["temperature"]),
        (["notes", "temperature"], float("nan"), ["temperature"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_headers_of_version_1_are_checked(
    old_file, refused, numpy_ops, tmp_path, place, value, words
):
    def change(header):
        *path, last = place
        for key in path:
            header = header[key]
        header[last] = value

    content = with_header(old_file, change)
    if words is not None:
        refused(content, *words)
        return
    (tmp_path / "good.npz").write_bytes(content)  # the change itself harms nothing
    assert len(load_model(tmp_path / "good.npz", numpy_ops).model.layers) == 14


def layer(place, **options):
    """A change of a header's layer."""
    return lambda header: header["network"]["layers"][place].update(options)


def grown(header):
    """Layers that are harmless one by one, and together take gigabytes."""
    wide = {"kind": "conv2d", "out_channels": 1, "kernel": 1, "padding": 460}
    header["network"]["layers"] = [wide, *[{"kind": "relu"}] * 150]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (layer(0, kind="conv3d"), ["layer 1", "conv3d", "did you mean conv2d?"]),
        (layer(0, kind=["conv2d"]), ["layer 1", "there is no kind"]),
        (layer(0, kind="__class__"), ["layer 1", "there is no kind"]),
        (layer(0, stride=0), ["layer 1", "stride"]),
        (layer(0, stride=1.0), ["layer 1", "stride cannot be 1.0"]),
        (layer(0, stride=True), ["layer 1", "stride cannot be True"]),
        (layer(0, padding=-1), ["layer 1", "padding cannot be -1"]),
        (layer(0, padding=10**5), ["layer 1", "numbers of an image"]),
        (layer(0, kernel=[5, 5, 5]), ["layer 1", "kernel"]),
        (layer(0, kernel=[40, 5]), ["layer 1", "smaller than the kernel"]),
        (layer(0, dilation=2), ["layer 1", "a conv2d has no 'dilation'"]),
        (layer(0, in_channels=3), ["layer 1", "takes (3, H, W)"]),
        (layer(0, name="C1.weight"), ["layer 1", "its name"]),
        (layer(0, name="C3"), ["2 layers are named C3"]),
        (layer(0, name=7), ["layer 1", "its name"]),
        (layer(0, out_channels=2**16, kernel=1), ["layer 1", "numbers of an image"]),
        (layer(-1, out_features=4), ["(4,)", "3 classes"]),
        (layer(-1, in_features=2**20, out_features=2**20), ["parameters"]),
        (lambda h: h["network"].update(layers=[]), ["1 to 200 layers"]),
        (lambda h: h["network"].update(layers={"kind": "relu"}), ["1 to 200 layers"]),
        (lambda h: h["network"].update(layers=[["relu"]]), ["table"]),
        (lambda h: h["network"].pop("layers") and None, ["1 to 200 layers"]),
        (lambda h: h["network"]["layers"].extend([{"kind": "relu"}] * 200), ["1 to 200 layers"]),
        (lambda h: h["network"].update(input=[1, 28, 28]), ["(1, 32, 32)", "[1, 28, 28]"]),
        (lambda h: h["network"].update(input="small"), ["(1, 32, 32)"]),
        (lambda h: h["network"].pop("input") and None, ["(1, 32, 32)"]),
        (lambda h: h["preprocessing"].update(channels=3), ["(3, 32, 32)"]),
        (lambda h: h["preprocessing"].update(channels=2), ["channels"]),
        (lambda h: h.update(threshold=1.5), ["threshold"]),
        (lambda h: h.update(temperature="warm"), ["temperature"]),
        (lambda h: h.pop("temperature") and None, ["temperature"]),
        (lambda h: h.update(class_names=["ya", "yab"]), ["(3,)", "2 classes"]),
        (lambda h: h.update(class_names=["ya"]) or layer(-1, out_features=1)(h), ["class_names"]),
        (grown, ["layer 38", "the network makes over 33,554,432 numbers of an image"]),
    ],
)
def test_descriptions_are_checked(file, refused, change, words):
    refused(with_header(file, change), *words)


@pytest.mark.parametrize("key", ["version", "network", "preprocessing", "class_names", "notes"])
def test_a_missing_entry_is_named(file, refused, key):
    content = with_header(file, lambda header: header.pop(key) and None)
    refused(content, "model format None" if key == "version" else key)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"class_names": ("a", "b")}, r"gives \(3,\) for an image, and 2 classes"),
        ({"class_names": ("a", "b", "b")}, "class_names are not two or more different"),
        ({"preprocessing": Preprocessing(size=28)}, r"\(1, 28, 28\) do not fit"),
        ({"temperature": -1.0}, "temperature cannot be -1"),
        ({"model": ["C1.x"]}, "its name cannot be 'C1.x'"),
        ({"model": [f"relu{place}" for place in range(200)]}, "a list of 1 to 200 layers"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(tmp_path, changed, words):
    """A training's weights are not lost in a file that nobody can open."""
    if names := changed.get("model"):
        ends = [Flatten(), Linear(1024, 3)]
        changed = {"model": Sequential([ReLU(name) for name in names] + ends, (1, 32, 32))}
    saved = SavedModel(LeNet5(3), PREPROCESSING, NAMES, NOTES)
    with pytest.raises((InputError, ValueError), match=words):
        save_model(tmp_path / "m.npz", replace(saved, **changed))
    assert not list(tmp_path.iterdir())
