"""Fine-tuning: what a network takes over, what stays frozen, what a run keeps, refuses and says."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from any_network import KINDS
from commandline import QUICK, call
from killable import ADAM, Interrupted, StopsAt, bars

from lenet_xp import LeNetClassifier
from lenet_xp.layers import Conv2D, Flatten, Linear, ReLU, Rubbish
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.model import LeNet5, Sequential
from lenet_xp.model_file import MODELS, SavedModel, load_model, save_model
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2
from lenet_xp.training.loop import fit
from lenet_xp.training.transfer import begin_from, convolution_parameters

__all__ = ["call"]  # the fixture
NAMES = [letter.name for letter in letters()]


@pytest.fixture
def little(monkeypatch):
    """Few letters are learned again, where a test is about something else."""
    monkeypatch.setattr("lenet_xp.training.start.REPLAYED", ("synthetic:4", "print:2"))


def folder(root, names, count, seed=0):
    """Class folders of generated letters; "box" is a sign of nobody: a square with a dot."""
    images, labels = generate(count, seed)
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            image = images[labels == NAMES.index("ya" if name == "box" else name)][number]
            if name == "box":
                image = np.full((64, 64), 240, np.uint8)
                corner = [int(each) for each in rng.integers(6, 16, 2)]
                cv2.rectangle(image, corner, (54, 56), 30, 3)
                cv2.circle(image, (32, 34), 6, 30, -1)
            cv2.imwrite(str(root / name / f"{number:02}.png"), image)
    return root


def host(network):
    return {name: network.ops.to_host(p.value) for name, p in network.parameters().items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_network_takes_over_what_it_shares_and_more_outputs_begin_anew(ops, name):
    kind = KINDS[name]
    layers = kind.layers()
    if not isinstance(layers[-1], Linear):
        pytest.skip("its output is no dense layer")
    old = kind.on(ops, seed=1)
    layers[-1] = Linear(layers[-1].in_features, kind.classes + 2, name=old.layers[-1].name)
    new = Sequential(layers, kind.shape, ops, seed=2)
    drawn, given = host(new), host(old)
    begin_from(new, old)
    for each, value in host(new).items():
        known = given[each]
        if value.shape == known.shape:
            assert np.array_equal(value, known)
        else:
            assert np.array_equal(value[:-2], known)
            assert np.array_equal(value[-2:], drawn[each][-2:])


def test_outputs_go_on_where_rows_say():
    old, new = (LeNet5(count, ops=get_ops("numpy"), seed=count) for count in (4, 3))
    drawn = host(new)
    begin_from(new, old, [2, -1, 0])
    got, given = host(new), host(old)
    for part in ("output.weight", "output.bias"):
        assert np.array_equal(got[part][[0, 2]], given[part][[2, 0]])
        assert np.array_equal(got[part][1], drawn[part][1])


def test_other_layers_are_named():
    ops = get_ops("numpy")
    tanh, relu = (LeNet5(3, activation=kind, ops=ops) for kind in ("tanh", "relu"))
    with pytest.raises(ValueError, match="the network has Tanh where the trained one has ReLU"):
        begin_from(tanh, relu)
    wider = Sequential([Flatten(), Linear(64, 9), ReLU(), Linear(9, 3)], (1, 8, 8), ops)
    other = Sequential([Flatten(), Linear(64, 8), ReLU(), Linear(8, 3)], (1, 8, 8), ops)
    with pytest.raises(ValueError, match=r"out_features=9 .*out_features=8"):
        begin_from(wider, other)
    shorter = Sequential([Flatten(), Linear(64, 3)], (1, 8, 8), ops)
    with pytest.raises(
        ValueError, match=r"Linear in_features=64 out_features=3 .* Linear in_features=64$"
    ):
        begin_from(Sequential([Flatten(), Linear(64, 3), Linear(3, 3)], (1, 8, 8), ops), shorter)
    with pytest.raises(ValueError, match="images of"):
        begin_from(shorter, Sequential([Flatten(), Linear(100, 3)], (1, 10, 10), ops))
    with pytest.raises(ValueError, match="for its output"):
        begin_from(Sequential([Flatten(), Linear(64, 3), ReLU()], (1, 8, 8), ops), shorter)


@pytest.mark.parametrize("threads", [1, 2])
def test_frozen_convolutions_stay_to_the_bit_and_the_rest_learns(threads):
    ops = get_ops("numpy")
    old, model = LeNet5(2, ops=ops, seed=1), LeNet5(3, ops=ops, seed=2)
    how = (ADAM, bars(), bars(12), Preprocessing(), 0, threads)
    fit(model, *how, start=old, freeze=True)
    for name, value in host(model).items():
        assert np.array_equal(value, host(old)[name]) == name.startswith(("C1", "C3")), name
    assert convolution_parameters(model) == 156 + 2416
    assert convolution_parameters(Sequential([Flatten(), Linear(64, 3)], (1, 8, 8), ops)) == 0


def test_every_backend_freezes(ops):
    kind = KINDS["stride 2"]
    old, model = kind.on(ops, seed=1), kind.on(ops, seed=2)
    data = kind.data(24)
    fit(model, ADAM, data, data, kind.preprocessing, 0, 1, start=old, freeze=True)
    before, after = host(old), host(model)
    assert {name for name in after if np.array_equal(before[name], after[name])} == {
        "conv2d_1.weight",
        "conv2d_1.bias",
    }


def test_a_frozen_training_resumes_to_the_bit():
    def run(checkpointer):
        old, model = (LeNet5(3, ops=get_ops("numpy"), seed=seed) for seed in (1, 2))
        how = (ADAM, bars(), bars(12), Preprocessing(), 0, 2)
        fit(model, *how, checkpointer=checkpointer, start=old, freeze=True)
        return model.values.copy()

    expected, stops = run(None), StopsAt(4)
    with pytest.raises(Interrupted):
        run(stops)
    assert np.array_equal(run(StopsAt(None, stops.state)), expected)


def test_the_command_learns_a_new_sign_and_says_what_is_kept(call, tmp_path):
    data = folder(tmp_path / "data", ("yab", "yaz", "box"), 20)
    out = tmp_path / "run"
    how = ("--data", data, "--from", "--out", out, "--epochs", 3, "--learning-rate", 0.002)
    outcome = call("train", *how, *QUICK[2:])
    assert outcome.status == 0, outcome.err
    record = json.loads((out / "metrics.json").read_text())
    kept = record["start"]
    assert kept["sha256"] == hashlib.sha256(MODELS["letters"].read_bytes()).hexdigest()
    assert kept["new_classes"] == ["box"] and record["test_accuracy"] > 0.8
    assert len(kept["accuracy_before"]) == 2 and kept["generated_images"] == 33 * (50 + 20)
    assert min(kept["accuracy_after"]) > min(kept["accuracy_before"]) - 0.05
    saved, start = (load_model(path, get_ops("numpy")) for path in (out / "model.npz", "letters"))
    assert saved.class_names == (*start.class_names, "box")
    assert saved.preprocessing == start.preprocessing and saved.threshold > 0
    assert "learned" not in record["config"] and record["config"]["start"]["freeze"] is False
    scores = json.loads(call("evaluate", out / "model.npz", "--data", data, "--json").out)
    assert scores["accuracy"] == record["test_accuracy"]
    again = tmp_path / "again"  # from a run of one's own, the convolutions frozen
    how = ("--data", data, "--from", out / "model.npz", "--freeze", "--out", again, *QUICK)
    assert call("train", *how).status == 0
    second = load_model(again / "model.npz", get_ops("numpy"))
    for name in ("C1.weight", "C3.bias"):
        assert np.array_equal(host(second.model)[name], host(saved.model)[name])


def test_few_images_are_judged_by_networks_that_never_saw_them(call, tmp_path, little):
    data = folder(tmp_path / "data", ("yab", "yaz", "box"), 6)
    shutil.copytree(folder(tmp_path / "one", ("yad",), 1) / "yad", data / "yad")
    out = tmp_path / "run"
    how = ("--data", data, "--from", "--out", out, "--epochs", 3, "--learning-rate", 0.002)
    outcome = call("train", *how, *QUICK[2:])
    assert outcome.status == 0, outcome.err
    assert "judge 18 of 19; nobody can judge yad, of one image or its copies" in outcome.err
    assert "on 18 images by networks that never saw them (95% interval " in outcome.out
    record = json.loads((out / "metrics.json").read_text())
    assert record["split"] == "few" and record["n_train"] == 19 and record["n_test"] == 18
    low, high = record["test_accuracy_interval"]
    assert low < record["test_accuracy"] <= high and high - low > 0.1
    assert outcome.err.count("by a network without them") == 5
    refused = call("evaluate", out / "model.npz", "--data", data)
    refused.assert_refused("data", "learned from")
    others = folder(tmp_path / "others", ("yab", "yaz", "box"), 6, seed=1)
    assert call("evaluate", out / "model.npz", "--data", others).status == 0


def test_a_run_that_starts_from_a_model_resumes_with_that_model_only(
    call, tmp_path, monkeypatch, little
):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 20), tmp_path / "run"
    model = tmp_path / "model.npz"
    shutil.copy(MODELS["letters"], model)
    from lenet_xp.training import run as module

    def stop(self, *rest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module._Run, "write_results", stop)
        how = ("--data", data, "--from", model, "--out", out, "--checkpoint-every", 0.01)
        assert call("train", *how, *QUICK).status == 130
    other = load_model(model, get_ops("numpy"))
    save_model(model, SavedModel(other.model, other.preprocessing, other.class_names, {}))
    call("train", "--resume", out).assert_refused("model.npz", "not the model")
    shutil.copy(MODELS["letters"], model)
    assert call("train", "--resume", out).status == 0


def test_a_model_that_has_moved_is_given_again(call, tmp_path, monkeypatch, little):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 20), tmp_path / "run"
    model = tmp_path / "model.npz"
    shutil.copy(MODELS["generated"], model)
    from lenet_xp.training import run as module

    with monkeypatch.context() as patched:
        patched.setattr(module._Run, "write_results", interrupted(module._Run.write_results))
        how = ("--data", data, "--from", model, "--out", out, "--checkpoint-every", 0.01)
        patched.setattr(module._Run, "refusals", lambda run, *rest: run._check())
        assert call("train", *how, *QUICK).status == 130
    model.unlink()
    call("train", "--resume", out).assert_refused("model.npz", "no such file")
    assert call("train", "--resume", out, "--from", MODELS["generated"]).status == 0


def test_ctrl_c_while_networks_judge_says_how_to_go_on(call, tmp_path, monkeypatch, little):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 2), tmp_path / "run"
    from lenet_xp.training import run as module

    monkeypatch.setattr(module._Run, "_judged_by_folds", interrupted(module._Run._judged_by_folds))
    outcome = call("train", "--data", data, "--from", "--out", out, *QUICK)
    assert outcome.status == 130
    assert f"stopped; go on with: lenet-xp train --resume {out}" in outcome.err


def interrupted(method):
    """A method of a run that is asked to stop when it begins."""

    def call(self, *rest):
        self.request.signum = 2
        return method(self, *rest)

    return call


def test_the_model_to_start_from_is_not_replaced(call, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    shutil.copy(MODELS["letters"], out / "model.npz")
    data = folder(tmp_path / "data", ("yab", "yaz"), 15)
    how = ("--data", data, "--from", out / "model.npz", "--out", out, "--overwrite", *QUICK)
    call("train", *how).assert_refused(out, "the model to start from", "another --out")
    assert (out / "model.npz").read_bytes() == MODELS["letters"].read_bytes()


def saved_as(path, layers, names=tuple(NAMES), **how):
    preprocessing = Preprocessing(**how)
    network = Sequential(layers, preprocessing.input_shape, get_ops("numpy"))
    save_model(path, SavedModel(network, preprocessing, names, {}))
    return path


def test_a_model_that_cannot_go_on_is_refused_in_words(call, tmp_path):
    data, out = folder(tmp_path / "data", ("yab", "yaz", "box"), 15), tmp_path / "run"
    base = ("train", "--data", data, "--out", out, *QUICK, "--from")
    relu = saved_as(tmp_path / "relu.npz", [Flatten(), Linear(1024, 33), ReLU()])
    call(*base, relu).assert_refused("relu.npz", "ends with relu_1")
    dense = saved_as(tmp_path / "dense.npz", [Flatten(), Linear(1024, 33)])
    call(*base, dense, "--freeze").assert_refused("--freeze", "dense.npz", "no convolutions")
    assert not out.exists()


def test_a_model_of_colours_that_refuses_goes_on_without_grey_outliers(call, tmp_path):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 15), tmp_path / "run"
    layers = [Flatten(), Linear(3072, 33), Rubbish()]
    model = saved_as(tmp_path / "colour.npz", layers, channels=3)
    outcome = call("train", "--data", data, "--out", out, *QUICK, "--from", model)
    assert outcome.status == 0, outcome.err


def test_new_classes_and_those_that_may_be_forgotten_are_told(call, tmp_path, little):
    data = folder(tmp_path / "data", ("yab", "yaz", "box"), 15)
    layers = [Flatten(), Linear(1024, 4)]
    model = saved_as(tmp_path / "own.npz", layers, ("kite", "yab", "Box", "ya"))
    outcome = call("train", "--data", data, "--out", tmp_path / "run", *QUICK, "--from", model)
    words = "the model knows 4 classes; new: box, yaz; 2 may be forgotten, which no image shows: "
    assert words + "kite, Box\n" in outcome.err
    outcome = call("train", "--data", data, "--out", tmp_path / "again", *QUICK, "--from")
    assert "the model knows 33 classes; new: box\n" in outcome.err


def test_generated_letters_beside_are_taken_once(call, tmp_path):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 15), tmp_path / "run"
    how = ("--data", data, "--out", out, *QUICK, "--from", "--beside", "print:3", "synthetic:2")
    assert call("train", *how).status == 0
    record = json.loads((out / "metrics.json").read_text())
    assert record["config"]["beside"] == ["print:3", "synthetic:2"]


def test_what_does_not_fit_is_an_error_that_names_both(call, tmp_path):
    data, out = folder(tmp_path / "data", ("yab", "yaz"), 15), tmp_path / "run"
    base = ("train", "--data", data, "--out", out, *QUICK)
    call(*base, "--from", "--recipe", "classic").assert_refused("classic", "letters.npz", "ReLU")
    call(*base, "--from", tmp_path / "no.npz").assert_refused("no.npz")
    call(*base, "--freeze").assert_refused("--freeze", "--from")
    arrays = {"x": np.zeros((40, 28, 28), np.uint8), "y": np.arange(40) % 2}
    named = {f"{n}_{side}": each for n, each in arrays.items() for side in ("train", "test")}
    np.savez(tmp_path / "digits.npz", **named)
    kept = ("train", "--data", tmp_path / "digits.npz", "--from", "--out", out, *QUICK)
    call(*kept).assert_refused("digits.npz", "'keep'", "letters.npz", "'cut'")
    assert not out.exists()


def test_a_file_named_as_a_model_of_the_package_wins_in_words(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", generate(1)[0][1])
    plain = call("predict", "a.png", "--model", "letters", "--json")
    assert plain.status == 0 and "that name" not in plain.err
    (tmp_path / "letters").write_bytes(MODELS["generated"].read_bytes())
    outcome = call("predict", "a.png", "--model", "letters", "--json")
    assert outcome.status == 0 and "the file of that name" in outcome.err
    assert outcome.out != plain.out


def test_the_classifier_goes_on_from_a_model():
    images, labels = generate(12)
    chosen = np.isin(labels, (1, 2, 30))
    x, y = images[chosen], np.array(NAMES, object)[labels[chosen]].astype(str)
    y[y == NAMES[30]] = "mine"
    model = LeNetClassifier("fine-tune", start="letters", epochs=3, random_state=0).fit(x, y)
    fresh, truth = generate(12, seed=1)
    kept = np.isin(truth, (1, 2, 30))
    names = np.where(truth[kept] == 30, "mine", np.array(NAMES)[truth[kept]])
    assert model.score(fresh[kept], names) > 0.9
    alone = LeNetClassifier("fine-tune", epochs=3, random_state=0).fit(x, y)
    assert alone.score(fresh[kept], names) < 0.9
    kept = model.predict(fresh)
    assert np.array_equal(model.set_params(start=None).predict(fresh), kept)
    with pytest.raises(ValueError, match="table"):
        LeNetClassifier("fine-tune", start="letters").fit(np.random.rand(9, 4), list("ababababa"))
    with pytest.raises(ValueError, match="leave out network"):
        net = Sequential([Conv2D(1, 2, 5), ReLU(), Flatten(), Linear(1568, 3)], (1, 32, 32))
        LeNetClassifier(start="letters", network=net).fit(x, y)


def test_the_classifier_frames_pictures_of_any_shape_as_the_model_does():
    images, labels = generate(8)
    chosen = np.isin(labels, (1, 2, 30))
    narrow = np.stack([cv2.resize(each, (40, 52)) for each in images[chosen]])  # dark on light
    how = {"start": "letters", "epochs": 1, "random_state": 0}
    model = LeNetClassifier("fine-tune", **how).fit(narrow, labels[chosen])
    framed = Preprocessing().apply_all(narrow)
    assert np.array_equal(model.features_.apply(narrow.reshape(len(narrow), -1)), framed)
