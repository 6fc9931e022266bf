"""The study of growth: what it runs and what it keeps, with small numbers."""

import json

import pytest

from lenet_xp.errors import InputError
from studies import scaling


def test_a_training_is_measured_whole():
    row = scaling.measured(["--samples", "15", "--epochs", "1", "--threads", "1"])
    assert row["images"] > 300 and row["seconds"] > row["epoch_seconds"] > 0
    assert 50 < row["peak_mib"] < 2000


def test_a_training_that_fails_is_said():
    with pytest.raises(InputError, match="failed; run it"):
        scaling.measured(["--samples", "0"])


def test_the_record_keeps_what_is_not_measured_again(tmp_path, monkeypatch):
    asked = []

    def measured(arguments, ranks=None):
        asked.append((arguments, ranks))
        speed = float(len(asked))
        numbers = dict.fromkeys(("seconds", "epoch_seconds", "peak_mib"), 1.0)
        return {"images": 5, "images_per_second": speed, **numbers}

    monkeypatch.setattr(scaling, "measured", measured)
    monkeypatch.setattr(scaling, "usable_cores", lambda: 2)
    out = ["--out", str(tmp_path)]
    scaling.main([*out, "--only", "epochs"])
    assert [a[a.index("--samples") + 1] for a, _ in asked] == [str(n) for n in scaling.STREAMED]
    assert all("--stream" in a for a, _ in asked)
    asked.clear()
    scaling.main([*out, "--only", "batches", "--repeat", "2"])
    assert [ranks for _, ranks in asked[:4]] == [None, None, 1, 2]  # in turns
    record = json.loads((tmp_path / "scaling.json").read_text())
    assert len(record["epochs"]["rows"]) == 5 and record["batches"]["cores"] == 2
    rows = record["batches"]["rows"]
    assert len(rows) == 4 * len(scaling.BATCHES) and rows[0]["images_per_second"] == 5.0  # the best
