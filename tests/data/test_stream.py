"""Streams: the same images whenever they are asked for, never held, and a run on them resumes."""

import json

import numpy as np
import pytest
from commandline import QUICK, call, letters_folder
from killable import ADAM, Interrupted, StopsAt

from lenet_xp.data import stream
from lenet_xp.data.dataset import Request
from lenet_xp.data.sources import load_dataset, load_stream
from lenet_xp.data.splits import Overlap, honest_split
from lenet_xp.data.stream import Made
from lenet_xp.errors import InputError
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training import batches
from lenet_xp.training.batches import epoch_batches
from lenet_xp.training.loop import fit

__all__ = ["call"]  # the fixture


def request(path="synthetic", samples=40, seed=0):
    return Request(path, "letters", Preprocessing(), samples, seed, False, False)


def squares(count, made):
    """Made images whose grey level is their number; `made` notes how many were asked for."""

    def make(chosen):
        made.append(len(chosen))
        return np.broadcast_to(chosen.astype(np.uint8)[:, None, None], (len(chosen), 4, 4)).copy()

    return Made(count, make, np.full((3, 4, 4), 255, np.uint8))


def test_images_are_made_or_held():
    made = []
    images = squares(100, made)
    assert len(images) == 103 and images.shape == (103, 4, 4) and images.ndim == 3
    levels = images[np.array([7, 101, 99, 100])][:, 0, 0]
    assert levels.tolist() == [7, 255, 99, 255] and made == [2]
    assert len(images.alone()) == 100
    assert images[np.array([102])].shape == (1, 4, 4) and made == [2]


@pytest.mark.parametrize("skip", (0, 3, 11))
def test_an_epoch_makes_each_image_once_a_block_at_a_time(monkeypatch, skip):
    monkeypatch.setattr(batches, "BLOCK", 30)
    made = []
    images, labels = squares(100, made).alone(), np.arange(100)
    whole = np.broadcast_to(labels.astype(np.uint8)[:, None, None], (100, 4, 4))
    epochs = [
        list(epoch_batches(each, labels, 8, np.random.default_rng(5), ADAM.distortion, skip))
        for each in (images, whole)
    ]
    for streamed, held in zip(*epochs, strict=True):
        np.testing.assert_array_equal(streamed.images, held.images)
        np.testing.assert_array_equal(streamed.labels, held.labels)
    assert sum(made) <= 100 and max(made) <= 32 and len(made) == -(-100 // 32) - skip * 8 // 32


def test_generated_letters_are_right_and_new_in_each_epoch():
    dataset = load_stream("synthetic", request())
    split, overlap = honest_split(dataset)
    assert overlap == Overlap(0, 0, 0) and split.name == "source"
    assert len(split.train) == 40 * 33 and len(split.val) == len(split.test) == 4 * 33
    chosen = np.random.default_rng(0).permutation(len(split.train))[:500]
    images = dataset.images[chosen]
    np.testing.assert_array_equal(images, dataset.images[chosen])
    assert not (images == dataset.images[chosen[::-1]][::-1]).all((1, 2)).any()
    reader = load_model_and_read(images)
    assert (reader == dataset.labels[chosen]).mean() > 0.95
    for part in (split.val, split.test):
        assert (load_model_and_read(dataset.images[part]) == dataset.labels[part]).mean() > 0.95


def load_model_and_read(images):
    from lenet_xp.model_file import load_model

    saved = load_model("generated", get_ops("numpy"))
    return saved.probabilities(images)[:, : len(saved.class_names)].argmax(1)


def test_a_folder_gives_the_images_of_its_files(tmp_path):
    letters_folder(tmp_path)
    whole = load_dataset(tmp_path, Preprocessing(), cache=False, progress=False)
    streamed = load_stream(tmp_path, request(tmp_path))
    places = [whole.files.index(file) for file in streamed.files]
    assert sorted(places) == list(range(len(whole)))
    everything = streamed.images[np.arange(len(streamed))]
    np.testing.assert_array_equal(everything, whole.images[places])
    np.testing.assert_array_equal(streamed.labels, whole.labels[places])
    assert streamed.class_names == whole.class_names
    first = next(tmp_path.rglob("*.jp*g"))
    first.write_bytes(b"no picture")
    with pytest.raises(InputError, match=first.name):
        load_stream(tmp_path, request(tmp_path)).images[np.arange(len(streamed))]


def test_training_on_a_stream_is_training_on_its_images(monkeypatch):
    """Where one epoch's images are made once, they may as well be held."""
    monkeypatch.setattr(batches, "BLOCK", 10_000)
    dataset = load_stream("synthetic", request(samples=15))
    split, _ = honest_split(dataset)
    order = np.random.default_rng([3, 1]).permutation(len(split.train))
    held = np.empty((len(split.train), 32, 32), np.uint8)
    held[order] = dataset.images[order]
    val = dataset.images[split.val], dataset.labels[split.val]
    own, values = ADAM.with_options(epochs=1), []
    for images in (dataset.images.alone(), held):
        model = LeNet5(33, ops=get_ops("numpy"))
        train = images, dataset.labels[split.train]
        fit(model, own, train, val, Preprocessing(), 3, threads=1)
        values.append(model.values.tobytes())
    assert values[0] == values[1]


def test_a_run_on_a_stream_goes_on_to_the_bit(monkeypatch):
    monkeypatch.setattr(batches, "BLOCK", 100)
    dataset = load_stream("synthetic", request(samples=15))
    split, _ = honest_split(dataset)
    train = dataset.images.alone(), dataset.labels[split.train]
    val = dataset.images[split.val], dataset.labels[split.val]

    def run(checkpointer):
        model = LeNet5(33, ops=get_ops("numpy"))
        fit(model, ADAM, train, val, Preprocessing(), 3, 1, checkpointer=checkpointer)
        return model.values.tobytes()

    stops = StopsAt(37)
    with pytest.raises(Interrupted):
        run(stops)
    assert run(StopsAt(0, stops.state)) == run(None)


def test_the_command_streams(call, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "HELD", 40)
    options = ["--stream", "--samples", 20, *QUICK]
    assert call("train", *options, "--out", tmp_path / "run").status == 0
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["n_train"] == 660 and record["n_val"] == record["n_test"] == 33
    assert record["config"]["stream"] is True
    letters_folder(tmp_path / "letters")
    folder = ["--data", tmp_path / "letters", "--stream", *QUICK]
    assert call("train", *folder, "--out", tmp_path / "of-folder").status == 0


def test_what_does_not_go_with_a_stream_is_said(call, tmp_path):
    for words in (("--photos", 1), ("--outliers", 5), ("--split", "random"), ("--skip-bad",)):
        done = call("train", "--stream", *words, *QUICK, "--out", tmp_path / "run")
        done.assert_refused(words[0], "does not go with --stream")
    many = call("train", "--samples", 10_001, *QUICK, "--out", tmp_path / "run")
    many.assert_refused("--samples", "need --stream")
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 8, 8), np.uint8), y=np.zeros(9, int))
    npz = call("train", "--data", tmp_path / "a.npz", "--stream", *QUICK, "--out", tmp_path / "run")
    npz.assert_refused("a.npz", "cannot be streamed")
