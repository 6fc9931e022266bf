"""A complete folder of made-up records in the program's formats, for the report."""

import json
import shutil
from pathlib import Path

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.scores.tables import write_calibration, write_confused_pairs, write_per_writer
from lenet_xp.system.files import make_folder, write_json, write_text
from studies.aggregate import aggregate, spread
from studies.report.records import RECORDS

RESULTS = Path(__file__).resolve().parent.parent / "results"
COPIED = ("audit/amhcd.json", "benchmarks/cpu.json", "generated-letters/statistics.json")
COPIED += ("distillation/ways.json",)
PICTURES = ("learning_curves", "feature_maps", "filters", "confusion_matrix", "confused_pairs")
NAMES = [letter.name for letter in letters()]
IMAGES = 1200  # of a made-up test set
FOLDS = 5


def answers(seed: int, sure: float = 0.98) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities, and twelve writers, different for each seed."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 33, IMAGES)
    probabilities = rng.dirichlet(np.full(33, 0.05), IMAGES) * (1 - sure)
    read_as = np.where(rng.random(IMAGES) < sure, labels, (labels + 1) % 33)
    probabilities[np.arange(IMAGES), read_as] += sure
    return labels, probabilities, rng.integers(0, 12, IMAGES) + 12 * seed


def metrics(example: dict, seed: int, fold: int, writers: bool) -> dict:
    """A run's metrics.json with the scores of `answers`; all else as in a real one."""
    labels, probabilities, groups = answers(fold or seed)
    scores = Scores(labels, probabilities, NAMES, 1.5, groups if writers else None)
    record = example | {f"test_{name}": value for name, value in summarise(scores).items()}
    record |= {"seed": seed, "fold": fold, "n_test": IMAGES, "temperature": 1.5}
    return record | {
        "dataset": "made up",
        "confused_pairs": [vars(pair) for pair in scores.pairs[:10]],
    }


def make(folder: Path, example: dict) -> Path:
    """Every record of the report in `folder`; example: the metrics.json of a real run."""
    for record in RECORDS.values():
        if record.file in COPIED:
            make_folder(folder / record.folder)
            shutil.copy(RESULTS / record.file, folder / record.file)
        elif record.parts:
            series(folder, record, example)
        elif record.file.endswith("/metrics.json"):
            run(folder / record.folder, example, 0, 0, False)
    transfer(make_folder(folder / "synthetic-to-amhcd"))
    few_writers(make_folder(folder / "few-writers"))
    search(make_folder(folder / "search"))
    averaged(make_folder(folder / "averaged-writers"))
    (folder / "benchmarks" / "cpu.png").write_bytes(picture())
    return folder


def series(folder: Path, record, example: dict) -> None:
    of_writers = "fold-0" in record.parts
    for number, part in enumerate(record.runs):
        seed, fold = (0, number) if of_writers else (number, 0)
        run(folder / part, example, seed, fold, of_writers)
    summary = aggregate([folder / part / "metrics.json" for part in record.runs])
    write_json(folder / record.file, summary)


def run(folder: Path, example: dict, seed: int, fold: int, writers: bool) -> None:
    make_folder(folder)
    labels, probabilities, groups = answers(fold or seed)
    write_json(folder / "metrics.json", metrics(example, seed, fold, writers))
    write_text(folder / "command.txt", f"python scripts/train.py --seed {seed}\n")
    scores = Scores(labels, probabilities, NAMES, 1.5, groups)
    write_calibration(folder, scores)
    if writers:
        write_per_writer(folder, scores.per_group)
    for name in PICTURES:
        (folder / f"{name}.png").write_bytes(picture())


def transfer(folder: Path) -> None:
    labels, probabilities, groups = answers(7, sure=0.95)
    scores = Scores(labels, probabilities, NAMES, 1.5, groups)
    write_json(folder / "scores.json", {"images": IMAGES, **summarise(scores)})
    half = {"images": IMAGES // 2, "accuracy": 0.9512}
    write_json(folder / "writer_halves.json", {"even_writers": half, "odd_writers": half})
    write_confused_pairs(folder, scores)
    (folder / "confused_pairs.png").write_bytes(picture())


def few_writers(folder: Path) -> None:
    labels, probabilities, groups = answers(3)
    scores = summarise(Scores(labels, probabilities, NAMES, groups=groups))
    rows = [scores | {"writers": 0, "images": 0, "start": "generated letters"}]
    for start in ("nothing", "generated letters"):
        rows.append(scores | {"writers": 5, "images": 2145, "start": start})
    write_json(folder / "few_writers.json", {"rows": rows, "git_commit": 40 * "a", "seed": 0})
    (folder / "few_writers.png").write_bytes(picture())


def search(folder: Path) -> None:
    choice = {"effects": {"100 epochs": 0.0012, "warmth": -0.0004}, "error": 0.0005}
    choice["options"] = ["100 epochs"]
    folds = [{"fold": fold, **choice} for fold in range(FOLDS)]
    outcome = {"folds": folds, "all": choice, "taken": ["100 epochs"]}
    record = {"rows": [{"accuracy": 0.9}] * 40, "outcome": outcome, "git_commit": 40 * "b"}
    write_json(folder / "search.json", record)
    (folder / "search.png").write_bytes(picture())


def averaged(folder: Path) -> None:
    folds = [
        {"fold": fold, "accuracy": 0.91, "ece": 0.01, "averaged": {"accuracy": 0.92, "ece": 0.02}}
        for fold in range(FOLDS)
    ]
    record = {"folds": folds, "views": 16, "seed": 0, "git_commit": 40 * "c"}
    record["accuracy"] = vars(spread([each["accuracy"] for each in folds]))
    record["averaged_accuracy"] = vars(spread([each["averaged"]["accuracy"] for each in folds]))
    write_json(folder / "averaged.json", record)


def picture() -> bytes:
    """A small PNG."""
    from lenet_xp.system.opencv import cv2

    return cv2.imencode(".png", np.full((8, 8), 255, np.uint8))[1].tobytes()


def edit(path: Path, **values: object) -> None:
    """Change some values of a JSON file; None removes one."""
    record = json.loads(path.read_text()) | values
    write_json(path, {key: value for key, value in record.items() if value is not None})
