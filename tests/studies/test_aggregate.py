"""Several runs as one: the spreads are those of the statistics module, odd records are refused."""

import json
import statistics

import pytest

from lenet_xp.errors import InputError
from lenet_xp.system.files import write_json
from studies.aggregate import Spread, aggregate, spread

ACCURACIES = (0.985, 0.99, 0.983, 0.991)


@pytest.fixture
def runs(tmp_path):
    """The records of four runs that differ in seed."""
    files = []
    for seed, accuracy in enumerate(ACCURACIES):
        record = {
            "recipe": "best",
            "dataset": "letters",
            "seed": seed,
            "epochs": 60,
            "test_accuracy": accuracy,
            "test_accuracy_interval": [accuracy - 0.01, accuracy + 0.01],
            "finished": True,
            "config": {"seed": seed},
        }
        if seed == 2:
            record["test_ece"] = 0.004
        if seed == 3:
            record["test_ece"] = None
        folder = tmp_path / f"best-{seed}"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(record))
        files.append(folder / "metrics.json")
    return files


def test_spread_agrees_with_the_statistics_module():
    found = spread(ACCURACIES)
    assert found.mean == pytest.approx(statistics.mean(ACCURACIES))
    assert found.deviation == pytest.approx(statistics.stdev(ACCURACIES))
    assert (found.min, found.max, found.n) == (0.983, 0.991, 4)
    assert spread([7]) == Spread(7.0, None, 7.0, 7.0, 1)
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_runs_become_one_record(runs, tmp_path):
    found = aggregate(runs)
    assert found["sources"] == [f"best-{seed}/metrics.json" for seed in range(4)]
    metrics = found["metrics"]
    assert set(metrics) == {"epochs", "test_accuracy", "test_ece"}  # seeds are no score
    assert metrics["test_accuracy"]["mean"] == pytest.approx(statistics.mean(ACCURACIES))
    assert metrics["test_accuracy"]["n"] == 4
    assert metrics["test_ece"] == vars(Spread(0.004, None, 0.004, 0.004, 1))
    assert metrics["epochs"]["deviation"] == 0
    write_json(tmp_path / "all.json", found)
    assert json.loads((tmp_path / "all.json").read_text()) == found


def test_runs_that_do_not_belong_together_are_refused(runs):
    with pytest.raises(InputError, match="twice"):
        aggregate([*runs, runs[0].parent / ".." / runs[0].parent.name / runs[0].name])
    record = json.loads(runs[1].read_text()) | {"recipe": "classic"}
    runs[1].write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"differ in recipe \('best', 'classic'\)"):
        aggregate(runs)
    with pytest.raises(InputError, match="no runs"):
        aggregate([])


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "no JSON"), ("[1]", "no record"), ('{"accuracy": 1}', "no record"), (None, "No such")],
)
def test_a_file_that_is_no_record_is_named(runs, content, words):
    if content is None:
        runs[2].unlink()
    else:
        runs[2].write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        aggregate(runs)
    assert str(caught.value).startswith(f"{runs[2]}: ") and "\n" not in str(caught.value)
