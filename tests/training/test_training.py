"""Training: the loop, the batches made ahead of it, the threads beneath it, the recipes."""

import itertools
import json
import math
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from killable import bars
from threadpoolctl import threadpool_info, threadpool_limits
from tolerances import NETWORK

from lenet_xp.data.augment import Distortion
from lenet_xp.inference import predict_probabilities, worker_count
from lenet_xp.layers import Conv2D
from lenet_xp.losses import SoftmaxCrossEntropy
from lenet_xp.model import LeNet5
from lenet_xp.ops import Ops, get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.metrics import cross_entropy
from lenet_xp.system.own_process import one_blas_thread, owned
from lenet_xp.system.workers import WorkerThreads, even_slices
from lenet_xp.training import loop as training
from lenet_xp.training.batches import epoch_batches, prefetch
from lenet_xp.training.loop import TrainingDiverged, fit
from lenet_xp.training.recipes import FORMER, OPTIMISERS, RECIPES, Recipe

RECORDS = sorted((Path(__file__).resolve().parents[2] / "results").glob("**/metrics.json"))
RECIPE = Recipe("quick", epochs=4, batch_size=16, optimiser="momentum", learning_rate=0.03)
DISTORTED = replace(RECIPE, distortion=Distortion(rotation=5, shift=1, elastic=0.5))


def trained(recipe=RECIPE, count=48, val=None, model=None, **options):
    """A fit on bars: its outcome, the model, and the model's weights on the host."""
    model = model or LeNet5(3, activation=recipe.activation, ops=get_ops("numpy"))
    data = bars(count)
    preprocessing = Preprocessing().fitted(data[0])
    result = fit(model, recipe, data, val or bars(12, 1), preprocessing, **options)
    return result, model, model.ops.to_host(model.values)


def test_fit_learns():
    result, model, _ = trained(threads=1)
    losses = [row["train_loss"] for row in result.history]
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert losses[-1] < 0.2 * losses[0]
    images, labels = bars(30, seed=2)
    preprocessing = Preprocessing().fitted(bars(48)[0])
    assert (predict_probabilities(model, images, preprocessing).argmax(1) == labels).all()
    assert result.images_per_second == pytest.approx(4 * 48 / result.train_seconds)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_seed_gives_the_same_weights_to_the_bit(threads):
    weights = [trained(DISTORTED, threads=threads, seed=s)[2] for s in (3, 3, 4)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("count", [48, 33, 3, 1])  # 33 leaves a batch of 1; 3 and 1 idle threads
def test_threads_agree(count):
    single, several = (trained(DISTORTED, count, threads=threads) for threads in (1, 4))
    np.testing.assert_allclose(several[2], single[2], atol=20 * NETWORK["float32"])
    for one, other in zip(single[0].history, several[0].history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
        assert one["train_accuracy"] * count == pytest.approx(round(one["train_accuracy"] * count))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_is_the_plain_gradient_of_the_batch(threads):
    recipe = Recipe("step", epochs=1, batch_size=100, learning_rate=0.5)
    images, labels = bars(10)
    preprocessing = Preprocessing().fitted(images)
    model = LeNet5(3, ops=get_ops("numpy", "float64"))
    before = model.values.copy()
    x = ((images / 255 - preprocessing.mean) / preprocessing.std).transpose(1, 2, 0)[None]
    model.backward(SoftmaxCrossEntropy(model.ops)(model.forward(x), labels)[2])
    expected = before - 0.5 * model.gradients
    after = trained(recipe, 10, model=model, threads=threads)[2]
    np.testing.assert_allclose(after, expected, atol=1e-7)


def test_the_best_weights_on_validation_stay():
    images, labels = bars(12, 1)
    seen = []
    misleading = images, (labels + 1) % 3  # the better the fit, the worse the score
    result, _, left = trained(
        RECIPE,
        val=misleading,
        on_epoch=lambda row, model: seen.append((row, model.values.copy())),
    )
    rows = [row for row, _ in seen]
    best = max(range(4), key=lambda i: (rows[i]["val_accuracy"], -rows[i]["val_loss"], -i))
    assert best < 3
    assert result.best_epoch == best + 1
    assert result.best_accuracy == rows[best]["val_accuracy"]
    np.testing.assert_array_equal(left, seen[best][1])
    assert not np.array_equal(left, seen[-1][1])


def test_callbacks_tell_every_epoch_and_the_way_there(monkeypatch):
    monkeypatch.setattr(training, "REPORT_INTERVAL", -1.0)
    progress, rows = [], []
    result = trained(
        on_progress=progress.append, on_epoch=lambda row, model: rows.append(row), count=40
    )[0]
    assert rows == result.history
    epochs = [list(group) for _, group in itertools.groupby(progress, key=lambda p: p.epoch)]
    assert [[p.images for p in epoch] for epoch in epochs] == [[16, 32, 40, 40]] * 4
    for epoch, row in zip(epochs, rows, strict=True):
        last = epoch[-1]
        assert (last.total, last.epochs, last.epoch) == (40, 4, row["epoch"])
        assert (last.loss, last.accuracy) == (row["train_loss"], row["train_accuracy"])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [16, 48])  # 48: only validation comes after the one step
def test_divergence_is_named_and_nothing_warns(threads, batch_size):
    recipe = Recipe("wild", 1, batch_size, activation="relu", learning_rate=1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TrainingDiverged, match=r"epoch 1.*learning rate 1e\+30 is too high"):
            trained(recipe, threads=threads)
    assert not alive("worker") and not alive("prefetch")


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("labels", [[0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0], [[0], [1], [2]], [0]])
def test_labels_are_checked(part, labels):
    good = bars(3)
    data = {"train": good, "val": good} | {part: (good[0], np.array(labels))}
    with pytest.raises(ValueError, match="label"):
        fit(LeNet5(3, ops=get_ops("numpy")), RECIPE, **data, preprocessing=Preprocessing())


def test_batches_hold_every_image_once_with_its_label():
    images, labels = bars(20)
    images[:, 0, 0] = np.arange(20)  # a name for each
    first, again = (
        list(epoch_batches(images, labels, 8, np.random.default_rng(5))) for _ in range(2)
    )
    assert [len(batch.labels) for batch in first] == [8, 8, 4]
    order = np.concatenate([batch.images[:, 0, 0] for batch in first])
    assert sorted(order) == list(range(20)) and list(order) != list(range(20))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in first]), labels[order])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("together", [1, 8, 1024])
@pytest.mark.parametrize("skip", [0, 1, 3])
def test_distortions_are_drawn_batch_after_batch(together, skip, monkeypatch):
    monkeypatch.setattr("lenet_xp.training.batches.TOGETHER", together)
    images = np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)
    distortion = Distortion(rotation=5, shear=0.1, scale=0.1, elastic=1, pen=0.5, blur=0.4)
    rng = np.random.default_rng(5)
    order = rng.permutation(14)
    chosen = [order[k : k + 4] for k in range(0, 14, 4)]
    drawn = [distortion.draw(rng, len(each)) for each in chosen]
    for on_device in (False, True):
        batches = epoch_batches(
            *(images, np.arange(14), 4, np.random.default_rng(5), distortion, skip, on_device)
        )
        expected = zip(chosen[skip:], drawn[skip:], strict=True)
        for batch, (places, changes) in zip(batches, expected, strict=True):
            np.testing.assert_array_equal(batch.labels, places)
            if on_device:
                np.testing.assert_array_equal(batch.images, places)
                np.testing.assert_array_equal(batch.coefficients, changes.coefficients)
            else:
                moved = distortion.apply(images[places], changes)
                np.testing.assert_array_equal(batch.images, moved)


def alive(name: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(name)]


def test_prefetch_keeps_order_and_passes_on_the_producers_exception():
    def items():
        yield from range(30)
        raise RuntimeError("the disk is gone")

    received = []
    with pytest.raises(RuntimeError, match="the disk is gone"):
        received.extend(prefetch(items(), ahead=2))
    stream, received = prefetch(iter(range(30)), ahead=2), []
    received.extend(stream)
    assert received == list(range(30))
    assert not alive("prefetch")


@pytest.mark.parametrize("ahead", [1, 8])
def test_prefetch_ends_its_thread_when_the_consumer_leaves(ahead):
    made = []
    stream = prefetch((made.append(i) or i for i in itertools.count()), ahead)
    assert [next(stream), next(stream)] == [0, 1]
    assert alive("prefetch")
    stream.close()
    assert not alive("prefetch")
    assert len(made) <= ahead + 3  # it never ran off


def blas_threads() -> list[int]:
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_command_gives_the_matrix_library_its_threads_back(fails):
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        if not before or max(before) < 2:
            pytest.skip("the matrix library has no threads to be set")
        try:
            with owned():
                assert set(blas_threads()) == {1} and one_blas_thread()
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert blas_threads() == before and not one_blas_thread()


def test_workers_run_at_once_and_raise_what_a_job_raised():
    meeting, ended = threading.Barrier(3, timeout=60), []

    def meet():
        meeting.wait()
        ended.append(threading.get_ident())

    def fail():
        meet()
        raise ZeroDivisionError("of a worker")

    with WorkerThreads(3) as workers:
        workers.run([meet] * 3)
        assert len(set(ended)) == 3 and threading.get_ident() in ended
        for jobs in ([meet, meet, fail], [fail, meet, meet]):
            with pytest.raises(ZeroDivisionError, match="of a worker"):
                workers.run(jobs)
        workers.run([meet] * 3)  # and they serve on
    assert len(ended) == 12
    assert not alive("worker")


def test_parts_and_worker_count():
    for count, pieces in itertools.product(range(1, 20), range(1, 9)):
        shares = even_slices(count, pieces)
        assert [i for share in shares for i in range(count)[share]] == list(range(count))
        sizes = {share.stop - share.start for share in shares}
        assert len(shares) == min(count, pieces) and max(sizes) - min(sizes) <= 1
    assert worker_count(get_ops("numpy"), 3) == 3
    assert worker_count(get_ops("numpy"), None) >= 1
    assert worker_count(Ops(np), 3) == 1  # a device is one
    with pytest.raises(ValueError, match="greater than 0"):
        WorkerThreads(0)


def test_image_batch_standardises_and_puts_the_image_index_last(ops):
    images = bars(5)[0][:, :, :20]
    preprocessing = Preprocessing().fitted(images)
    x = ops.to_host(ops.image_batch(images, *preprocessing.scale_and_shift()))
    assert x.shape == (1, 32, 20, 5)
    expected = (images / 255 - preprocessing.mean) / preprocessing.std
    for index in range(5):
        np.testing.assert_allclose(x[0, ..., index], expected[index], atol=1e-5)
    assert abs(x.mean()) < 1e-4 and abs(x.std() - 1) < 1e-4


@pytest.mark.parametrize("recipe", [*RECIPES.values(), DISTORTED])
def test_recipes_survive_json(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.with_options(epochs=None, batch_size=7) == replace(recipe, batch_size=7)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_recipes_on_record_can_be_trained_again(path):
    recorded = json.loads(path.read_text())["config"]["recipe"]
    recipe = Recipe.from_dict(recorded)
    now = recipe.to_dict()
    if recipe.distortion:  # strengths that only the record or only the recipe names are off
        told, strengths = recorded.pop("distortion"), now.pop("distortion")
        names = told.keys() | strengths.keys()
        assert dict.fromkeys(names, 0.0) | told == dict.fromkeys(names, 0.0) | strengths
    assert all(recorded.pop(name, 0.0) == 0.0 for name in FORMER)
    added = {"network": None, "size": 32, "channels": 1, "levels": None}
    added |= {"teachers": 0, "teacher_share": 1.0}
    assert now == added | recorded


@pytest.mark.parametrize("value", (0.1, float("nan"), None, "0.0"))
@pytest.mark.parametrize("name", FORMER)
def test_a_record_of_what_is_gone_is_refused(name, value):
    """What earlier versions recorded as 0 is still the recipe that it was."""
    recorded = RECIPES["best"].to_dict()
    assert Recipe.from_dict(recorded | {name: 0.0}) == RECIPES["best"]
    with pytest.raises(ValueError, match=f"a recipe has no '{name}'"):
        Recipe.from_dict(recorded | {name: value})


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one-cycle", "1998"])
def test_every_optimiser_and_schedule_trains(optimiser, schedule):
    recipe = Recipe("any", 2, optimiser=optimiser, schedule=schedule, learning_rate=3e-3)
    result, _, after = trained(recipe, 12, threads=1)
    assert result.history[1]["train_loss"] < result.history[0]["train_loss"]
    assert np.isfinite(after).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"momentum": 1.0},
        {"momentum": 0.0, "optimiser": "nesterov"},
        {"weight_decay": -1.0},
        {"weight_decay": float("nan")},
        {"weight_decay": 0.1, "optimiser": "sdlm"},
        {"activation": "sine"},
        {"optimiser": "magic"},
        {"schedule": "hope"},
    ],
    ids=str,
)
def test_recipes_are_validated(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        Recipe(**{"name": "wrong", "epochs": 1} | wrong)


def test_cross_entropy_by_hand():
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    expected = (math.log(2) - math.log(0.75)) / 3
    assert cross_entropy(probabilities, np.array([0, 0, 1])) == pytest.approx(expected)
    assert cross_entropy(probabilities[[1]], np.array([1])) == pytest.approx(30 * math.log(10))
    assert str(cross_entropy(probabilities[[1]], np.array([0]))) == "0.0"  # never -0.0


def test_an_epoch_is_over_when_the_device_is_done(monkeypatch):
    """Before its seconds are taken: a GPU is asked faster than it works."""
    model, done = LeNet5(3, ops=get_ops("numpy")), []
    monkeypatch.setattr(model.ops, "synchronize", lambda: done.append(1))
    trained(model=model)
    assert len(done) == RECIPE.epochs


def test_a_plain_run_passes_every_layers_own_methods_in_every_step(monkeypatch):
    """As `train --plain` runs it: no capture is repeated, and the result is the fused one's."""
    passed, own = [], Conv2D.backward

    def backward(self, dy):
        passed.append(self.name)
        return own(self, dy)

    monkeypatch.setattr(Conv2D, "backward", backward)
    values = []
    for fused in (False, True):
        model = LeNet5(3, ops=get_ops("numpy", "float64", graph=fused), fused=fused)
        fit(model, replace(RECIPE, epochs=2), bars(40), bars(12), Preprocessing(), threads=1)
        values.append(model.values)
    steps = 2 * math.ceil(40 / RECIPE.batch_size)
    assert passed[: 2 * steps] == ["C3", "C1"] * steps
    assert len(passed) == 2 * steps
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "images",
    (
        np.zeros((6, 32, 32), np.float32),
        np.zeros((6, 28, 28), np.uint8),
        np.zeros((6, 1024), np.uint8),
        np.zeros((0, 32, 32), np.uint8),
        [[0]] * 6,
    ),
    ids=("floats", "28x28", "rows", "none", "lists"),
)
def test_images_that_do_not_fit_are_refused_in_words(images):
    labels = np.zeros(len(images), np.int64)
    model = LeNet5(3, ops=get_ops("numpy"))
    with pytest.raises(ValueError, match=r"images must be \(N, 32, 32\) uint8"):
        fit(model, RECIPE, (images, labels), bars(6), Preprocessing())
