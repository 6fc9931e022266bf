"""`studies.make_results` keeps records and no models, goes on, and takes no run for another."""

import json

import pytest

from lenet_xp.system.files import make_folder
from studies import make_results

SERIES = "seeds-distilled"


@pytest.fixture
def trained(monkeypatch):
    """The options of each training that was called for; each leaves a run's files."""
    calls = []

    def train(words):
        calls.append(words)
        out = make_folder(words[words.index("--out") + 1])
        seed = int(words[words.index("--seed") + 1])
        (out / "metrics.json").write_text(json.dumps({"test_accuracy": 0.9 + seed / 100}))
        for name in ("model.npz", "history.csv", "misclassified.png", "learning_curves.png"):
            (out / name).write_bytes(b"")
        make_folder(out / "teachers" / "1")

    monkeypatch.setattr(make_results, "train", train)
    return calls


def make(tmp_path, *words, data="amhcd.zip"):
    given = ["--amhcd", tmp_path / data, "--mnist", tmp_path / "mnist.npz", "--work", "runs"]
    make_results.main([*map(str, given), "--out", str(tmp_path / "results"), *words])


def test_a_series_keeps_its_figures_and_their_mean(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "amhcd.zip").write_bytes(b"")
    make(tmp_path, "--only", SERIES)
    assert [words[words.index("--seed") + 1] for words in trained] == list("01234")
    assert all("distilled" in words and "synthetic:300" in words for words in trained)
    kept = tmp_path / "results" / SERIES
    assert sorted(each.name for each in (kept / "seed-3").iterdir()) == [
        "command.txt",
        "history.csv",
        "metrics.json",
    ]
    command = (kept / "seed-3" / "command.txt").read_text()
    assert "--data amhcd.zip" in command and str(tmp_path) not in command
    summary = json.loads((kept / "summary.json").read_text())
    assert summary["metrics"]["test_accuracy"]["mean"] == pytest.approx(0.92)


def test_finished_runs_are_not_made_again(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "--only", SERIES)
    (tmp_path / "runs" / SERIES / "seed-2" / "metrics.json").unlink()
    del trained[:]
    make(tmp_path, "--only", SERIES)
    assert len(trained) == 1 and trained[0][trained[0].index("--seed") + 1] == "2"


def test_runs_of_other_data_are_not_taken_for_these(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "--only", SERIES)
    with pytest.raises(make_results.InputError, match=r"seed-0: is a run of other options"):
        make(tmp_path, "--only", SERIES, data="other.zip")


def test_an_unknown_result_is_refused_with_the_nearest(tmp_path, trained):
    with pytest.raises(make_results.InputError, match=r"seeds-distiled: no such.*seeds-distilled"):
        make(tmp_path, "--only", "seeds-distiled")
    assert trained == []
