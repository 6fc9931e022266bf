"""The audit doubts labels that were changed on purpose; no network judges what it learned from."""

import csv
import json
import shutil
import signal
from dataclasses import replace

import cv2
import numpy as np
import pytest
from commandline import QUICK, call, files_in, finish, start
from own_place import place
from PIL import Image

from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import digests, make_split
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model_file import SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.training.doubts import judged, sketch
from lenet_xp.training.recipes import BEST

__all__ = ["call", "place"]  # fixtures

LETTERS = ("ya", "yat", "yaz")
WRONG = {"ya/yat_3.png", "ya/yaz_7.png", "yat/ya_11.png", "yaz/yat_20.png", "yaz/ya_38.png"}
TRAIN = ("train", "--epochs", 20, "--learning-rate", 0.004, "--recipe", "best", *QUICK[2:])
FOLDS = {f"kfold fold {fold}" for fold in range(5)}


def drawn(folder, seed=0, count=40):
    """Class folders of generated letters, ya/ya_0.png and so on."""
    images, labels = generate(count, seed)
    names = [letter.name for letter in letters()]
    for name in LETTERS:
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images[labels == names.index(name)]):
            cv2.imwrite(str(folder / name / f"{name}_{number}.png"), image)
    return folder


def mislabelled(folder):
    """Move the files of WRONG out of the folders of their letters."""
    for name in WRONG:
        file = name.partition("/")[2]
        shutil.move(folder / file.partition("_")[0] / file, folder / name)
    return folder


def tiles(path):
    """The number of answers in orange below the tiles of a sheet: a column, a line of text each."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    rows = np.split(pixels[77:], range(176, len(pixels) - 77, 176))
    cells = [cell for row in rows for cell in np.array_split(row, 8, axis=1)]
    return sum((cell[..., 0] - cell[..., 2] > 60).any() for cell in cells)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.fixture
def model(world, call):
    """Trained on right labels of other letters."""
    out = world / "run" / "model.npz"
    if not out.exists():
        data = drawn(world / "others", seed=1)
        assert call(*TRAIN, "--data", data, "--out", out.parent).status == 0
    return out


def test_a_model_that_is_new_to_the_images_doubts_wrong_labels(place, call, model):
    data = mislabelled(drawn(place / "mine"))
    outcome = call("audit", "--data", data, "--model", model, "--out", "a/b", "--json")
    assert outcome.status == 0 and "kfold" not in outcome.err
    found = json.loads(outcome.out)["doubtful"]
    assert found["judged"] == {"model": 120} and found["not_judged"] == {}
    rows = found["images"]
    assert {row["file"] for row in rows[: len(WRONG)]} == WRONG
    assert sorted(row["probability"] for row in rows) == [row["probability"] for row in rows]
    for row in rows[: len(WRONG)]:
        folder, file = row["file"].split("/")
        assert (row["label"], row["read"]) == (folder, file.partition("_")[0])
        assert row["probability"] < 0.5 < row["read_probability"] <= 1
    assert files_in(place / "a") == ["b/doubtful.csv", "b/doubtful.png"]
    with open("a/b/doubtful.csv", encoding="utf-8", newline="") as text:
        again = list(csv.DictReader(text))
    assert [{**row, **{k: str(v) for k, v in row.items()}} for row in rows] == again
    assert tiles(place / "a/b/doubtful.png") == len(rows)
    assert call("audit", "--data", data, "--model", model, "--out", "c", "--most", 2).status == 0
    assert tiles(place / "c/doubtful.png") == 2


def test_the_lines_name_the_first_five_and_no_file_is_written(place, call, model):
    data = mislabelled(drawn(place / "mine"))
    before = files_in(place)
    outcome = call("audit", "--data", data, "--model", model, "--no-cache")
    assert files_in(place) == before
    assert "of 120 images are read as another class; the model judged 120, " in outcome.out
    assert all(f"  {name}: {name.partition('/')[0]} (" in outcome.out for name in WRONG)
    assert "doubtful" not in call("audit", "--data", data).out


def test_where_the_model_learned_from_them_other_networks_judge(place, call):
    data = mislabelled(drawn(place / "mine"))
    (place / "r.toml").write_text(replace(BEST, distortion=None, epochs=40).as_toml())
    train = ("train", "--recipe", "r.toml", "--split", "random", *QUICK[2:])
    assert call(*train, "--data", data, "--out", "run").status == 0
    shutil.move(data, place / "renamed")
    saved = load_model("run/model.npz", get_ops("numpy"))
    images = load_dataset("renamed", saved.preprocessing, progress=False)
    split = make_split(images, "random")
    learned = [i for i in split.train if images.names[i] in WRONG]
    own_word = saved.probabilities(images.images[learned]).argmax(1)
    assert (own_word == images.labels[learned]).any()  # it has come to believe what is wrong
    outcome = call("audit", "--data", "renamed", "--model", "run/model.npz", "--json")
    found = json.loads(outcome.out)["doubtful"]
    assert found["judged"].pop("model") == len(split.test)
    assert found["judged"].keys() == FOLDS and sum(found["judged"].values()) == 120 - len(
        split.test
    )
    assert {row["file"] for row in found["images"][: len(WRONG)]} == WRONG
    assert all(f"{fold}: trained, validation accuracy" in outcome.err for fold in FOLDS)
    # What was changed since then is not taken for a test image.
    shutil.move("renamed/yaz/ya_38.png", "renamed/ya/")
    outcome = call("audit", "--data", "renamed", "--model", "run/model.npz", "--epochs", 1)
    assert "the model judged 0, networks trained without them 120" in outcome.out


def test_images_of_unknown_classes_are_counted_and_not_judged(place, call, model):
    data = mislabelled(drawn(place / "mine"))
    shutil.copytree(data / "yat", data / "a new one")
    outcome = call("audit", "--data", data, "--model", model, "--json")
    found = json.loads(outcome.out)["doubtful"]
    count = len(list((data / "yat").iterdir()))
    assert (found["judged"], found["not_judged"]) == ({"model": 120}, {"a new one": count})
    assert {row["file"] for row in found["images"][: len(WRONG)]} == WRONG
    line = f"not judged, of the unknown class a new one: {count}"
    assert line in call("audit", "--data", data, "--model", model).out
    for name in LETTERS:
        shutil.rmtree(data / name)
    shutil.copytree(data / "a new one", data / "another")
    call("audit", "--data", data, "--model", model).assert_refused("knows none of its classes")


def test_what_cannot_be_doubted_is_refused(place, call, model):
    data = drawn(place / "mine", count=15)
    call("audit", "--data", data, "--model", "nowhere.npz").assert_refused("nowhere.npz", "no such")
    for option in ("--out", "--epochs"):
        outcome = call("audit", "--data", data, option, "3")
        assert outcome.status == 2 and "go with --model" in outcome.err
    for option in (("--most", 0), ("--epochs", "x")):
        outcome = call("audit", "--data", data, "--model", model, *option)
        assert outcome.status == 2 and option[0] in outcome.err
    (place / "file").write_text("")
    outcome = call("audit", "--data", data, "--model", model, "--out", "file")
    outcome.assert_refused("cannot write file")
    call("audit", "--data", "nowhere", "--model", model, "--out", "a/b").assert_refused("nowhere")
    assert not (place / "a").exists()


def test_ctrl_c_leaves_nothing(place, model):
    """Its own data: it trains networks, which is stopped somewhere."""
    words = ("--data", model.parent.parent / "others", "--model", model, "--epochs", 50_000)
    process = start("audit", *words, "--out", "a/b", cwd=place)
    for line in process.stderr:
        if line.startswith("kfold fold 0: training on"):
            break
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert (outcome.status, outcome.out) == (130, "") and "Traceback" not in outcome.err
    assert outcome.err.splitlines()[-1] == "stopped by Ctrl-C" and not (place / "a").exists()


def test_a_model_without_a_recipe_cannot_be_replaced(place, call, model):
    saved = load_model(model, get_ops("numpy"))
    data = drawn(place / "mine")
    images = load_dataset(data, saved.preprocessing, progress=False).images
    wide = replace(BEST, network=({"kind": "flatten"}, {"kind": "linear"}), size=64).to_dict()
    for recipe in ({}, {"recipe": 3}, {"recipe": {"name": "x"}}, {"recipe": wide}):
        notes = {
            "learned": " ".join(sketch(images)),
            "split": [1],
            "fold": "a",
            "allow_overlap": False,
        }
        if recipe:
            del notes["split"]
        save_model(
            "odd.npz",
            SavedModel(saved.model, saved.preprocessing, saved.class_names, notes | recipe),
        )
        refused = call("audit", "--data", data, "--model", "odd.npz")
        refused.assert_refused("odd.npz: it may have learned from these images")


def test_an_older_model_goes_by_the_name_of_its_data(place, call, model):
    saved = load_model(model, get_ops("numpy"))
    data = load_dataset(drawn(place / "mine"), saved.preprocessing, progress=False)
    split = make_split(data, "kfold", 2)
    notes = {k: v for k, v in saved.notes.items() if k != "learned"} | {"allow_overlap": False}
    notes |= {"split": "kfold", "fold": 2}
    for name, own in (("mine.zip", set(split.test)), ("yours.zip", set(range(120)))):
        older = SavedModel(
            saved.model, saved.preprocessing, saved.class_names, notes | {"data": name}
        )
        scores, by = judged(data, older, 1, lambda line: None)
        assert set(np.flatnonzero(by == "model")) == own
        assert np.allclose(scores.probabilities.sum(1), 1)


def test_a_sketch_is_met_in_any_part_of_the_images_and_in_no_others():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 8, 8), np.uint8)
    learned = sketch(images[:4000])
    assert len(learned) == 200 and sketch(rng.permutation(images[:4000])) == learned
    for part in np.split(images[:4000], 10):
        assert set(digests(part)) & learned
    assert not set(digests(images[4000:])) & learned


def test_networks_that_start_from_the_packages_model_learn_the_new_class_first(place, call):
    data = drawn(place / "mine", count=20)
    (data / "frame").mkdir()
    for number in range(20):  # a sign that the package's model takes for none of its letters
        image = np.full((64, 64), 245, np.uint8)
        cv2.rectangle(image, (5 + number % 5, 7 + number % 7), (56, 58), 30, 3 + number % 2)
        cv2.imwrite(str(data / "frame" / f"{number}.png"), image)
    shutil.move(data / "ya" / "ya_3.png", data / "frame" / "wrong.png")
    assert call("train", "--data", data, "--from", "--out", "run", *QUICK[2:]).status == 0
    outcome = call("audit", "--data", data, "--model", "run/model.npz", "--json")
    first, *others = (row["file"] for row in json.loads(outcome.out)["doubtful"]["images"])
    assert first == "frame/wrong.png" and len(others) <= 2  # of 80 images
