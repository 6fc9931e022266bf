"""The study of the LeNet-5 of 1998 on Tifinagh: its ways differ as said, its record chooses."""

import json

import numpy as np
from commandline import letters_folder

from lenet_xp.data.sources import load_dataset
from lenet_xp.training.recipes import BEST, PUBLISHED
from studies import tifinagh1998


def test_the_ways_differ_in_codes_and_distortion():
    ways = tifinagh1998.ways(33)
    words = "", ", half distorted", ", distorted"
    assert set(ways) == {f"{name}{word}" for name in ("bitmaps", "spread codes") for word in words}
    assert ways["bitmaps"] == PUBLISHED
    for name, recipe in ways.items():
        drawn = recipe.distortion
        assert (drawn is None) == ("distorted" not in name)
        if drawn:
            share = 0.5 if "half" in name else 1.0
            assert drawn.shift == share * BEST.distortion.shift and drawn.grid == 4
            assert drawn.rotation == share * BEST.distortion.rotation
        codes = {kind["kind"]: kind for kind in recipe.network}["codes"].get("codes")
        assert (codes is not None) == ("spread" in name)
        if codes:
            bits = np.array([[bit == "#" for bit in code] for code in codes])
            apart = (bits[:, None] != bits).sum(2) + 84 * np.eye(33, dtype=int)
            assert bits.shape == (33, 84) and apart.min() >= 31


def test_the_least_error_is_judged_by_folds(tmp_path, monkeypatch):
    letters_folder(data := tmp_path / "letters")
    errors = {"bitmaps": 0.02, "spread codes": 0.01, "bitmaps, distorted": 0.03}
    asked, trained = [], []

    def error(dataset, recipe, fold):
        name = next(n for n, each in tifinagh1998.ways(3).items() if each == recipe)
        asked.append((name, fold))
        return errors[name]

    def train(arguments):
        trained.append(arguments)
        out = arguments[arguments.index("--out") + 1]
        (tmp_path / out).mkdir(parents=True)
        (tmp_path / out / "metrics.json").write_text('{"test_accuracy": 0.5}')

    monkeypatch.setattr(tifinagh1998, "validation_error", error)
    monkeypatch.setattr(tifinagh1998, "train", train)
    monkeypatch.setattr(tifinagh1998, "load_dataset", lambda *how: load_dataset(data))
    real = tifinagh1998.ways
    monkeypatch.setattr(
        tifinagh1998, "ways", lambda n: {k: v for k, v in real(n).items() if k in errors}
    )
    out, work = tmp_path / "out", tmp_path / "work"
    for _ in range(2):  # a second call finds everything made
        tifinagh1998.main(["--data", str(data), "--out", str(out), "--work", str(work)])
    assert sorted(asked) == sorted((name, fold) for name in errors for fold in (1, 3))
    assert [a[a.index("--fold") + 1] for a in trained] == list("01234")
    assert json.loads((out / "choice.json").read_text())["errors"]["spread codes"] == [0.01, 0.01]
    for fold in range(5):
        record = json.loads((out / f"fold-{fold}.json").read_text())
        assert record.pop("looked_at_before").startswith("The five folds were tested once before")
        assert record == {"way": "spread codes", "test_accuracy": 0.5}
    assert "spread" not in (work / "1998.toml").read_text()
    assert 'codes = ["' in (work / "1998.toml").read_text()
