"""The study of the LeNet-5 of 1998 on a small data set of MNIST's kind."""

import json

import numpy as np
import pytest

from studies import lenet1998


@pytest.fixture
def data(tmp_path):
    """An npz like MNIST's: bars whose height tells the class, a test set of its own."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 80), ("test", 30)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3 : 2 * label + 6, 4:24] = 255
        parts |= {f"x_{part}": images, f"y_{part}": labels}
    np.savez(tmp_path / "mnist.npz", **parts)
    return tmp_path / "mnist.npz"


CHOICES = [], ["--eq", "8", "--validation"], ["--distorted"]


@pytest.mark.parametrize("choice", CHOICES, ids=("test", "validation", "distorted"))
def test_a_record_says_what_was_scored(data, tmp_path, choice, monkeypatch):
    monkeypatch.setattr(lenet1998, "HELD_OUT", 20)
    scored, error_of = [], lenet1998.error_of
    monkeypatch.setattr(
        lenet1998, "error_of", lambda *args: scored.append(len(args[1][1])) or error_of(*args)
    )
    out = tmp_path / "new" / "records"
    lenet1998.main(["--data", str(data), "--out", str(out), "--passes", "2", *choice])
    (path,) = out.glob("*.json")
    record = json.loads(path.read_text())
    apart, distorted = "--validation" in choice, "--distorted" in choice
    held = "validation" if apart else "test"
    name = "validation-eq8-j1" if apart else "test-eq9-j1"
    assert path.name == f"{name}{'-distorted-1' * distorted}-seed0.json"
    assert scored == ([20, 60] if apart else [30, 80])  # once each, after the last pass
    assert (record["recipe"]["distortion"] is not None) == distorted
    assert record["published"]["test_error"] == (0.008 if distorted else 0.0095)
    assert ("test_error" in record) == (not apart) and 0 <= record[f"{held}_error"] <= 1
    assert record["eq"] == (8 if apart else 9) and len(record["history"]) == 2
    assert record["parameters"] == 60_000 and "in view" in record["in_view"]
    assert [each["kind"] == "rubbish" for each in record["recipe"]["network"]][-1] == (not apart)
