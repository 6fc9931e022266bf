"""The audit finds what was put there, and training and evaluation keep to an honest split."""

import json
import shutil

import numpy as np
from commandline import QUICK, call, letters_folder
from own_place import place

from lenet_xp.commands.audit import audited
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import make_split

__all__ = ["call", "place"]  # fixtures


def copied(place, *pairs):
    """Class folders in which each second name of `pairs` is a copy of the first."""
    folder = letters_folder(place / "letters")
    for one, other in pairs:
        shutil.copy(folder / f"{one}.jpeg", folder / f"{other}.jpeg")
    return folder


def leaks(place):
    """Folders where four test images of the seed's split stand in training, and two in validation.

    Which these are is found on the folder without copies: the split knows labels only.
    """
    folder = letters_folder(place / "letters")
    data = load_dataset(folder, cache=False, progress=False)
    split = make_split(data, "seed")
    for test, other in zip(split.test, [*split.train[:4], *split.val[:2]], strict=False):
        shutil.copy(folder / data.files[test], folder / data.files[other])
    return folder


def test_duplicates_conflicts_and_unreadable_files_are_found(place, call):
    pairs = ("ya/ya_1", "ya/ya_2"), ("ya/ya_1", "ya/ya_4"), ("yan/yan_3", "yat/yat_3")
    folder = copied(place, *pairs)
    (folder / "yat" / "yat_9.jpeg").write_bytes(b"no image")
    outcome = call("audit", "--data", folder, "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    assert (found["dataset"], found["images"]) == ("letters", 44)
    assert found["classes"] == {"ya": 15, "yan": 15, "yat": 14}
    assert [bad["file"] for bad in found["unreadable"]] == ["yat/yat_9.jpeg"]
    assert (found["duplicates"]["groups"], found["duplicates"]["surplus"]) == (2, 3)
    triple, pair = found["duplicates"]["images"]
    assert triple == ["ya/ya_1.jpeg", "ya/ya_2.jpeg", "ya/ya_4.jpeg"]
    assert found["label_conflicts"] == [pair] == [["yan/yan_3.jpeg", "yat/yat_3.jpeg"]]
    assert found["writers"] is None
    names = [(each["name"], each["fold"]) for each in found["splits"]]
    assert names == [("seed", 0), ("random", 0), *(("kfold", fold) for fold in range(5))]
    shown = call("audit", "--data", folder).out
    for words in ("44 images, 3 classes, 14 to 15 of each", "2 images stand there more than once"):
        assert words in shown
    assert "yan/yan_3.jpeg = yat/yat_3.jpeg" in shown and "yat/yat_9.jpeg (is not an image" in shown


def test_a_split_that_leaks_is_shown_beside_those_that_do_not(place, call):
    found = json.loads(call("audit", "--data", leaks(place), "--json").out)
    shared = {each["name"]: each["overlap"] for each in found["splits"]}
    assert shared["seed"] == {"train_test": 4, "val_test": 2, "train_val": 0}
    assert not any(shared["random"].values()) and not any(shared["kfold"].values())
    assert all(each["shared_writers"] is None for each in found["splits"])


def test_images_without_files_are_named_by_class_and_place():
    images = np.arange(90, dtype=np.uint8).reshape(-1, 1, 1)
    images[30] = images[3]
    data = Dataset("made", images, np.arange(90) % 3, ("a", "b", "c"), source_train=60)
    found = audited(data)
    assert found["duplicates"]["images"] == [["a#3", "a#30"]]
    assert {each["name"] for each in found["splits"]} == {"seed", "source", "random", "kfold"}


def test_what_cannot_be_audited_is_refused(place, call):
    folder = letters_folder(place / "letters")
    call("audit", "--data", "nowhere").assert_refused("nowhere", "no such file")
    call("audit", "--data", folder, "--split", "source").assert_refused("no test set of its own")
    call("audit", "--data", folder, "--split", "writer").assert_refused("letters", "AMHCD")


def test_training_leaves_out_what_also_stands_in_the_test_set(place, call):
    folder = leaks(place)
    outcome = call("train", "--data", folder, "--out", "run", *QUICK)
    assert outcome.status == 0
    said = [line for line in outcome.err.splitlines() if "identical" in line]
    assert len(said) == 1 and "4 training and 2 validation" in said[0] and "6 left out" in said[0]
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert metrics["overlap"] == {"train_test": 4, "val_test": 2, "train_val": 0, "dropped": 6}
    assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (28, 2, 9)
    assert (metrics["split"], metrics["fold"]) == ("seed", 0)
    kept = call("train", "--data", folder, "--out", "kept", "--allow-overlap", *QUICK)
    assert "all kept" in kept.err and "never used before" not in kept.out
    metrics = json.loads((place / "kept" / "metrics.json").read_text())
    assert metrics["overlap"]["dropped"] == 0 and metrics["config"]["allow_overlap"] is True
    assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (32, 4, 9)
    # Evaluation knows which images each run trained on.
    for run, images in (("run", 28), ("kept", 32)):
        scored = call("evaluate", f"{run}/model.npz", "--data", folder, "--part", "train", "--json")
        assert json.loads(scored.out)["images"] == images


def test_a_sources_own_test_set_that_leaks_is_refused(place, call):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (60, 28, 28), np.uint8),
        "x_test": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": np.arange(60) % 2,
        "y_test": np.arange(20) % 2,
    }
    for part in ("x_train", "x_test"):  # noise alone would be blank
        arrays[part][:, :4] = arrays[part][:, -4:] = 0
        arrays[part][:, :, :4] = arrays[part][:, :, -4:] = 0
    arrays["x_test"][:3] = arrays["x_train"][:3]
    np.savez(place / "a.npz", **arrays)
    call("train", "--data", "a.npz", "--out", "run", *QUICK).assert_refused(
        "a: the split 'source'", "--split random", "--allow-overlap"
    )
    assert not (place / "run").exists()
    for option in (["--split", "random"], ["--allow-overlap"]):
        out = option[-1].strip("-")
        assert call("train", "--data", "a.npz", "--out", out, *option, *QUICK).status == 0


def test_evaluate_takes_the_split_and_fold_of_the_run(place, call):
    folder = letters_folder(place / "letters")
    fold = ("--split", "kfold", "--fold", 3)
    assert call("train", "--data", folder, "--out", "run", *fold, *QUICK).status == 0
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert (metrics["split"], metrics["fold"]) == ("kfold", 3)
    evaluate = ("evaluate", "run/model.npz", "--data", folder, "--json")
    scores = json.loads(call(*evaluate).out)
    assert (scores["split"], scores["fold"]) == ("kfold", 3)
    assert scores["accuracy"] == metrics["test_accuracy"]
    scores = json.loads(call(*evaluate, "--fold", 1).out)
    assert (scores["split"], scores["fold"]) == ("kfold", 1)
    scores = json.loads(call(*evaluate, "--split", "random").out)
    assert (scores["split"], scores["fold"]) == ("random", 0)
    scores = json.loads(call(*evaluate, "--part", "all").out)
    assert scores["split"] is None and scores["images"] == 45
    call(*evaluate, "--fold", 5).assert_refused("'kfold' has no fold 5; it has 0 to 4")


def test_a_run_on_unknown_writers_or_folds_is_refused(place, call):
    train = ("train", "--data", letters_folder(place / "letters"), "--out", "run", *QUICK)
    call(*train, "--split", "writer").assert_refused("letters", "only AMHCD as published")
    call(*train, "--fold", 1).assert_refused("'seed' has no fold 1; it has only 0")
    assert not (place / "run").exists()


def test_amhcd_itself(shared):
    found = audited(load_dataset(shared / "amhcd_64.zip", cache=False, progress=False))
    assert (found["duplicates"]["groups"], found["duplicates"]["surplus"]) == (84, 86)
    classes = {tuple(file.split("/")[0] for file in part) for part in found["label_conflicts"]}
    assert classes == {("yah", "yass")} and len(found["label_conflicts"]) == 2
    assert found["writers"]["count"] == 60
    assert found["writers"]["sharing_an_image"] == [[11, 58], [27, 34], [45, 46]]
    assert len(found["splits"]) == 12
    for each in found["splits"]:
        seed = each["name"] == "seed"
        assert any(each["overlap"].values()) == seed
        writers = set(each["shared_writers"].values())
        assert writers == ({0} if each["name"] == "writer" else {60})
