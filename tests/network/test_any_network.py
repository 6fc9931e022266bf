"""Any network of the package's layers does what LeNet-5 does, on every backend."""

import pickle

import numpy as np
import pytest
from any_network import KINDS, Kind
from killable import Interrupted, StopsAt
from tolerances import EXPORT, TRAINING

from lenet_xp.architecture import describe, layers_of
from lenet_xp.classifier import LeNetClassifier
from lenet_xp.inference import predict_probabilities
from lenet_xp.layers import AvgPool2D, Conv2D, Flatten, Linear, ReLU
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import SavedModel, load_model, save_model
from lenet_xp.ops import Ops, get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.reader import Reader
from lenet_xp.training.loop import fit
from lenet_xp.training.recipes import Recipe

RECIPE = Recipe("short", epochs=2, batch_size=8, optimiser="adam", learning_rate=3e-3)


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def kind(request) -> Kind:
    return request.param


def trained(kind: Kind, ops: Ops, checkpointer=None, threads: int = 1, **options) -> Sequential:
    model = kind.on(ops, **options)
    how = {"threads": threads, "checkpointer": checkpointer, "on_doubt": lambda text: None}
    fit(model, RECIPE, kind.data(20), kind.data(9, 1), kind.preprocessing, 4, **how)
    return model


def test_training_follows_the_reference(kind, ops):
    """Two epochs of three steps, the last of them short; the reference runs the plain layers."""
    model, plain = trained(kind, ops), trained(kind, Ops(np, "float64"), fused=False)
    start = kind.on(Ops(np, "float64")).values
    moved, expected = ops.to_host(model.values) - start, plain.values - start
    gap = np.linalg.norm(moved - expected) / np.linalg.norm(expected)
    assert gap <= TRAINING[ops.dtype_name]


def test_a_run_goes_on_to_the_bit(kind, ops):
    values = ops.to_host(trained(kind, ops).values)
    for step in (1, 3, 5):
        checkpointer = StopsAt(step)
        with pytest.raises(Interrupted):
            trained(kind, ops, checkpointer)
        resumed = trained(kind, ops, StopsAt(0, checkpointer.state))
        np.testing.assert_array_equal(ops.to_host(resumed.values), values)


def test_processes_and_threads_give_a_result(kind):
    """With two workers a batch is summed in two shares: the same to the tolerance."""
    ops = get_ops("numpy", "float64")
    two, one = trained(kind, ops, threads=2).values, trained(kind, ops).values
    start = kind.on(ops).values
    assert np.linalg.norm(two - one) <= TRAINING["float64"] * np.linalg.norm(one - start)


def test_a_file_holds_it(kind, ops, tmp_path):
    model, images = kind.on(ops, seed=3), kind.data(9)[0]
    names = tuple(f"class {i}" for i in range(kind.classes))
    saved = SavedModel(model, kind.preprocessing, names, {}, temperature=1.5)
    save_model(tmp_path / "m.npz", saved)
    again = load_model(tmp_path / "m.npz", ops)
    assert describe(again.model) == describe(model)
    assert again.preprocessing == kind.preprocessing and again.temperature == 1.5
    np.testing.assert_array_equal(again.as_trained(images, 1), saved.as_trained(images, 1))
    if ops.name not in ("numpy", "cupy"):  # other array modules are no data
        return
    twin = pickle.loads(pickle.dumps(again.model))
    np.testing.assert_array_equal(
        *(predict_probabilities(each, images, kind.preprocessing, 1) for each in (twin, model))
    )


@pytest.mark.parametrize("backend", ("numpy", "cupy"))
def test_the_classifier_trains_it(kind, backend, stand_in, monkeypatch):
    if backend == "cupy":
        monkeypatch.setattr(
            "lenet_xp.classifier.get_ops", lambda name, dtype="float32": CupyOps(dtype)
        )
    images, labels = kind.data(max(60, kind.classes))
    network = kind.on(get_ops("numpy"))
    before = network.values.copy()
    model = LeNetClassifier(
        Recipe("short", epochs=12, learning_rate=kind.rate, batch_size=8),
        network=network,
        random_state=0,
        threads=1,
        backend=backend,
    )
    with np.errstate(all="ignore"):
        model.set_params(epochs=1 if kind.classes == 1000 or backend == "cupy" else 12)
        model.fit(images, labels)
    probabilities = pickle.loads(pickle.dumps(model)).predict_proba(images[:9])
    assert probabilities.shape == (9, kind.classes) and np.allclose(probabilities.sum(1), 1)
    assert [each["kind"] for each in model.network_["layers"]] == [
        each.kind for each in network.layers
    ]
    np.testing.assert_array_equal(network.values, before)  # its layers alone are taken
    if kind.classes < 1000 and backend == "numpy":
        assert model.score(images, labels) > 0.9


def test_tables_come_back_as_layers(kind):
    network = kind.on()
    told = describe(network)
    layers = layers_of(told["layers"], told["input"], kind.classes)
    assert describe(Sequential(layers, kind.shape)) == told
    follows = ("in_channels", "in_features")
    short = [{k: v for k, v in each.items() if k not in follows} for each in told["layers"]]
    del next(each for each in reversed(short) if each["kind"] in ("linear", "codes"))[
        "out_features"
    ]
    assert describe(Sequential(layers_of(short, kind.shape, kind.classes), kind.shape)) == told


def test_a_reader_reads_with_it(kind, tmp_path):
    """Pictures of any size and kind, in colour where the network has three channels."""
    names = tuple(f"class {i}" for i in range(kind.classes))
    saved = SavedModel(kind.on(seed=3), kind.preprocessing, names, {})
    reader = Reader(saved)
    for shape in ((20, 20), (40, 30, 3), (100, 90, 4)):
        picture = np.full(shape, 255, np.uint8)
        picture[5:-5, 8:12] = 40 if len(shape) == 2 else (40, 90, 20, 255)[: shape[2]]
        seen, reading = reader.see_and_read(picture)
        assert seen.shape == kind.preprocessing.shape
        expected = saved.probabilities(saved.preprocessing.apply(picture)[None], 1)[0]
        assert reading.probability == pytest.approx(expected.max(), abs=EXPORT)
        assert reader.read_many([picture])[0].name == reading.name


def test_arrays_of_keras_are_taken():
    kind = KINDS["3x3 with padding"]
    images, labels = kind.data(20)
    models = [kind.on(), kind.on()]
    for model, given in zip(models, (images, images[..., None]), strict=True):
        fit(model, RECIPE, (given, labels), (given, labels), kind.preprocessing, threads=1)
    np.testing.assert_array_equal(models[0].values, models[1].values)


class Doubled(ReLU):
    """A user's own layer, on a layer of the package."""

    def forward(self, x):
        return super().forward(2.0 * x)

    def backward(self, dy):
        return 2.0 * super().backward(dy)


def test_a_users_own_layer_trains_but_is_no_data(tmp_path):
    layers = [Conv2D(1, 3, 3), Doubled(), Flatten(), Linear(300, 3)]
    kind = Kind(lambda: layers, (1, 12, 12))
    model = kind.on(get_ops("numpy"))
    images, labels = kind.data(60)
    recipe = RECIPE.with_options(epochs=30)
    fit(model, recipe, (images, labels), (images, labels), kind.preprocessing, threads=2)
    read = predict_probabilities(model, images, kind.preprocessing, 1).argmax(axis=1)
    assert (read == labels).mean() > 0.9
    with pytest.raises(ValueError, match="relu_1 is a Doubled, none of the package's layers"):
        save_model(tmp_path / "m.npz", SavedModel(model, kind.preprocessing, ("a", "b", "c"), {}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([Conv2D(1, 4, 3)], (1, 12, 12), r"conv2d_1 gives \(4, 10, 10\).* Flatten\(\)"),
        ([Flatten(), Linear(144, 1)], (1, 12, 12), r"linear_1 gives \(1,\)"),
        ([Flatten(), Linear(64, 3)], (1, 8, 8), r"takes \(1, 8, 8\).*gives \(1, 12, 12\)"),
        ([Flatten(), Linear(432, 3)], (3, 12, 12), r"takes \(3, 12, 12\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(layers, shape, words):
    kind = KINDS["3x3 with padding"]
    data = kind.data(9)
    with pytest.raises(ValueError, match=words):
        fit(Sequential(layers, shape), RECIPE, data, data, kind.preprocessing)


def test_a_layer_that_does_not_fit_is_named_where_it_stands():
    for layers, words in (
        ([Conv2D(1, 4, 3), Linear(400, 3)], r"linear_1 takes \(400,\), not \(4, 10, 10\)"),
        ([Conv2D(3, 4, 3)], r"conv2d_1 takes \(3, H, W\), not \(1, 12, 12\)"),
        ([Flatten(), AvgPool2D(2)], r"avgpool2d_1 of 2 takes \(C, H, W\), not \(144,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            Sequential(layers, (1, 12, 12))


def test_lenet5_is_data_too():
    told = describe(LeNet5(10, activation="scaled_tanh"))
    names = [each["name"] for each in told["layers"]]
    assert names[0] == "C1" and names[-1] == "output" and len(names) == 14
    twin = Sequential(layers_of(told["layers"], told["input"], 10), told["input"], seed=7)
    expected = LeNet5(10, activation="scaled_tanh", seed=7)
    np.testing.assert_array_equal(twin.values, expected.values)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    np.testing.assert_array_equal(
        predict_probabilities(twin, images, Preprocessing(), 1),
        predict_probabilities(expected, images, Preprocessing(), 1),
    )
