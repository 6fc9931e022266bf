"""The command `evaluate`: score a saved model on a data set."""

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands import terminal
from lenet_xp.data.account import account_lines
from lenet_xp.data.dataset import Dataset, check_class_names
from lenet_xp.data.sources import GENERATORS, load_dataset
from lenet_xp.data.splits import SPLITS, Split, digests, honest_split
from lenet_xp.data.writers import known_writers
from lenet_xp.errors import InputError
from lenet_xp.model_file import SavedModel, load_model
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.scores.tables import write_tables
from lenet_xp.system.files import write_json
from lenet_xp.system.streams import say
from lenet_xp.system.text import printable, reason_of
from lenet_xp.training.doubts import learned_by
from lenet_xp.training.plan import MAX_SAMPLES
from lenet_xp.training.record import check_writable

MAX_LINE = 300  # characters: of the line that names unknown classes; the record has all
EXAMPLES = """\
  lenet-xp evaluate --data amhcd_64.zip
      score the model that comes with the package on 12 writers that it was not trained on
  lenet-xp evaluate runs/best/model.npz --data amhcd_64.zip
      score a run on the test images of its own split: the same figures as in its metrics.json
  lenet-xp evaluate runs/classic-synthetic/model.npz --data amhcd_64.zip --part all
      score a model of generated letters on every image of real handwriting"""


def add_part_options(to: argparse.ArgumentParser) -> None:
    """Add the options that choose a model, a data set and the part of it to score on."""
    terminal.add_model_option(to)
    terminal.add_data_option(to, None)
    to.add_argument(
        "--part",
        choices=("test", "val", "train", "all"),
        default="test",
        help="part of the data set's split (default: test)",
    )
    terminal.add_split_options(to, "that of the run")
    terminal.add_samples_option(to, None, "as in the training")
    to.add_argument("--seed", type=terminal.whole_number(0), help="seed of the synthetic data")


@dataclass(frozen=True)
class Part:
    """The images that a model is scored on."""

    images: np.ndarray  # (N, S, S) uint8
    labels: np.ndarray  # (N,) indices of the model's outputs
    names: dict[int, str]  # of each image, by its place in the data set
    groups: np.ndarray | None  # (N,) writers, if known
    about: dict[str, Any]  # which images these are, for the record


def chosen_part(options: argparse.Namespace, saved: SavedModel) -> Part:
    """Load the part that `add_part_options` chose; tell the account of the data on standard error.

    Images of classes that the model does not have are left out, and told. Raises InputError for
    unusable data, and where none is left.
    """
    notes = {name: value for name, value in saved.notes.items() if type(value) is int}
    dataset = load_dataset(
        options.data,
        saved.preprocessing,
        columns=options.columns,
        samples_per_class=options.samples_per_class
        or min(notes.get("samples_per_class", 400), MAX_SAMPLES),
        seed=options.seed if options.seed is not None else notes.get("seed", 0),
        skip_bad=options.skip_bad,
        cache=options.cache,
    )
    for line in account_lines(dataset):
        say(printable(line))
    labels = check_class_names(saved.class_names, dataset, some=True)
    split = None if options.part == "all" else _split(options, saved.notes, dataset)
    chosen = getattr(split, options.part) if split else np.arange(len(labels))
    known = labels[chosen] >= 0
    unknown = Counter(dataset.class_names[label] for label in dataset.labels[chosen[~known]])
    chosen = chosen[known]
    if unknown:
        which = f"of classes that the model lacks: {', '.join(sorted(unknown))}"
        line = f"not scored: {unknown.total():,} of {len(known):,} images, {which}"
        say(printable(line[:MAX_LINE]))
    if not len(chosen):
        raise InputError(f"{dataset.name}: this part has no image of a class that the model knows")
    writers = known_writers(dataset)
    about = {
        "model": "/".join(Path(options.model).parts[-2:]),
        "dataset": dataset.name,
        "part": options.part,
        "split": split and split.name,
        "fold": split and split.fold,
        "images": len(chosen),
        "skipped": len(dataset.skipped),
        "left_out": len(dataset.left_out),
        "blank": len(dataset.blank),
        "unknown_classes": dict(unknown),
    }
    groups, names = None if writers is None else writers[chosen], dataset.names
    named = {int(i): names[i] for i in chosen}
    return Part(dataset.images[chosen], labels[chosen], named, groups, about)


def evaluate(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    p = terminal.parser("lenet-xp evaluate", "Score a saved model on a data set.", EXAMPLES)
    add_part_options(p)
    add, path = p.add_argument, terminal.path
    add("--out", type=path, metavar="FOLDER", help="write tables and plots there")
    add("--json", action="store_true", help="print the scores as JSON")
    terminal.add_backend_options(p)
    options = p.parse_args(arguments)
    with terminal.made_folder(options.out) if options.out else nullcontext():
        saved = load_model(options.model, terminal.choose_ops(options))
        if options.out:
            check_writable(options.out)
        part = chosen_part(options, saved)
        scores, record = scored(part, saved, options.threads)
        if options.out:
            write_tables(options.out, scores, part.names)
            write_json(options.out / "scores.json", record)
            with drawing():
                from lenet_xp.commands.pictures import draw_scores  # matplotlib is slow to import

                draw_scores(options.out, scores, part.images)
        _show(record, options)


@contextmanager
def drawing() -> Iterator[None]:
    """Where the block fails to draw, a warning, for the tables are written."""
    try:
        yield
    except Exception as error:  # matplotlib is missing or broken, the disk is full, ...
        problem = f"not all pictures could be drawn ({reason_of(error)})"
        say(printable(f"WARNING: {problem}; the same command draws them later"))


def scored(part: Part, saved: SavedModel, threads: int | None) -> tuple[Scores, dict[str, Any]]:
    """Return the model's scores on a part, and their record. Raises what `as_trained` raises."""
    probabilities = saved.as_trained(part.images, threads)
    scores = Scores(part.labels, probabilities, saved.class_names, saved.temperature, part.groups)
    ops = saved.model.ops
    return scores, {
        **part.about,
        **summarise(scores),
        "temperature": saved.temperature,
        "backend": ops.name,
        "device": ops.device_name,
    }


def _split(options: argparse.Namespace, notes: dict[str, Any], dataset: Dataset) -> Split:
    """Return the split of the options, or else the one that the model was trained on.

    `seed` and `source` are defaults of training, so on other data they are not a choice.
    """
    recorded = notes.get("split")
    if recorded == "few" and not learned_by(notes).isdisjoint(digests(dataset.images)):
        raise InputError(
            f"{options.data}: the model has learned from some of these images; give "
            "others, or read its metrics.json for what networks that never saw them score"
        )
    other = notes.get("data") != Path(options.data).name
    if recorded not in list(SPLITS) or (other and recorded in ("seed", "source")):
        recorded = None
    if recorded == "writer" and not options.split and known_writers(dataset) is None:
        if options.data not in GENERATORS:
            problem = "the model was tested on writers whom it had not seen, and nobody knows who"
            advice = "give --part all, or --split random"
            raise InputError(f"{options.data}: {problem} wrote these images; {advice}")
        recorded = None
    name, fold = options.split or recorded, options.fold
    if fold is None:
        fold = notes.get("fold") if name == recorded else 0
    own = name == recorded and notes.get("allow_overlap") is False
    return honest_split(dataset, name, fold if type(fold) is int else 0, allow_overlap=not own)[0]


def _show(scores: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        terminal.print_json(scores)
        return
    low, high = scores["accuracy_interval"]
    print(
        f"accuracy {scores['accuracy']:.2%} (95% interval {low:.2%} to {high:.2%}), "
        f"macro F1 {scores['macro_f1']:.2%}, top 3 {scores['top_3_accuracy']:.2%}, "
        f"loss {scores['loss']:.4f} on {scores['images']:,} images "
        f"({scores['part']}) of {scores['dataset']}"
    )
    print(
        f"calibration error {scores['ece']:.2%} as trained, {scores['ece_scaled']:.2%} at "
        f"temperature {scores['temperature']:.2f}; accuracy 99.9% on the most certain "
        f"{scores['coverage_at_0.999']:.1%} of the images"
    )
    if options.out:
        print(f"tables and plots in {options.out}/")
