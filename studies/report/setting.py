"""The tables of the setting: network, recipes, data, splits, search, speed and records."""

import math
from collections.abc import Sequence
from functools import partial

from lenet_xp.layers import Activation, Flatten
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from studies.report.formats import count, percent
from studies.report.records import RECORDS, Records
from studies.report.scores import seeds
from studies.report.tables import grid, table

SETTINGS = (
    *("epochs", "batch_size", "activation", "squash_pools", "optimiser", "learning_rate"),
    *("schedule", "weight_decay"),
)
SPLITS = ("seed", "writer")


def network(records: Records) -> str:
    """Return layers, shapes, parameters and operations, from the code and no record."""
    rows, operations = [], 0
    model = LeNet5(33, ops=get_ops("numpy"))
    for layer, taken, shape in zip(model.layers, model.shapes, model.shapes[1:], strict=False):
        if isinstance(layer, Activation | Flatten):
            continue
        weights = layer.param_shapes().get("weight", ())
        # Each weight is used once for each position of its output map; a dense layer has one.
        work = 2 * math.prod(weights) * math.prod(shape[1:]) if weights else 0
        operations += work
        sides = " × ".join(map(str, taken)), " × ".join(map(str, shape))
        row = layer.name, type(layer).__name__, *sides, count(layer.num_parameters), count(work)
        rows.append(row)
    total = ("together", "", "", "", count(model.values.shape[0]), count(operations))
    header = ("layer", "kind", "takes", "gives", "parameters", "operations")
    return grid(header, [*rows, total], "llllrr")


def recipes(records: Records) -> str:
    names = ("classic-amhcd", "best-amhcd")
    found = [records.value(name, "config/recipe") for name in names]
    rows = [(key.replace("_", " "), *(_setting(each[key]) for each in found)) for key in SETTINGS]
    strengths = dict.fromkeys(key for each in found for key in each["distortion"] or {})
    for key in strengths:
        values = [(each["distortion"] or {}).get(key, 0.0) for each in found]
        if any(values):
            shown = (_setting(value) if value else "–" for value in values)
            rows.append((f"distortion: {key}", *shown))
    return grid(("setting", *(each["name"] for each in found)), rows, "lrr")


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def letters(records: Records) -> str:
    """Return medians, 5th and 95th percentiles of the picture statistics."""
    rows = []
    for key, sides in records.value("letters", "statistics").items():
        shown = [f"{mid:.3g} ({low:.3g} to {high:.3g})" for low, mid, high in sides.values()]
        rows.append((key.replace("_", " "), *shown))
    note = "*Medians over all images, with the 5th and 95th percentiles; 64 × 64 pixels.*"
    return grid(("of each image", "generated letters", "AMHCD"), rows, "lrr") + "\n\n" + note


def splits(records: Records) -> str:
    header = ("split", "fold", "training", "validation", "test", "images in training and test")
    rows = []
    for each in records.value("audit", "splits"):
        if each["name"] in SPLITS:
            sizes = (count(each[side]) for side in ("train", "val", "test"))
            shared = each["overlap"]["train_test"], each["shared_writers"]["train_test"]
            rows.append((each["name"], str(each["fold"]), *sizes, *map(count, shared)))
    return grid((*header, "writers in both"), rows, "lrrrrrr")


def search(records: Records) -> str:
    """Return each option's effect in points of accuracy, for each outer fold and for all runs."""
    outcome = records.value("search", "outcome")
    columns = [*outcome["folds"], outcome["all"]]
    rows = []
    for name in outcome["all"]["effects"]:
        cells = (
            f"{100 * each['effects'][name]:+.2f}{' *' if name in each['options'] else ''}"
            for each in columns
        )
        rows.append((name, *cells, "yes" if name in outcome["taken"] else "no"))
    errors = (f"± {100 * each['error']:.2f}" for each in columns)
    blind = (f"blind to fold {each['fold']}" for each in outcome["folds"])
    header = ("option", *blind, "all runs", "taken")
    return grid(header, [*rows, ("standard error", *errors, "")], "lrrrrrrl")


def ways(records: Records) -> str:
    """Return the validation errors of each way to teach, blind to each fold and to none."""
    errors, chosen = records.value("ways", "errors"), records.value("ways", "chosen")
    rows = [
        (
            way,
            *(
                f"{each[way]:.2f}{' *' if chosen[blind] == way else ''}"
                for blind, each in errors.items()
            ),
        )
        for way in errors["none"]
    ]
    header = ("way", *(f"blind to {'fold ' if blind != 'none' else ''}{blind}" for blind in errors))
    return grid(header, rows, "l" + len(errors) * "r")


def speed(records: Records, kind: str) -> str:
    rows = records.value("cpu", kind)
    peers = [name for name in rows[0]["contenders"] if name != "lenet_xp"]
    lines = []
    for row in rows:
        found = row["contenders"]
        ours = count(found["lenet_xp"]["images_per_second"]), percent(row["share_of_floor"], 0)
        theirs = [found[name] for name in peers]
        shown = (
            f"{count(each['images_per_second'])} ({each['lenet_xp_is_faster_by']:.2f}×)"
            for each in theirs
        )
        lines.append((str(row["batch"]), *ours, *shown))
    return grid(("batch", "lenet_xp", "of the floor", *peers), lines, "rrr" + len(peers) * "r")


def record_list(records: Records) -> str:
    """Return every record with commit and command; below them, the sentences of missing ones."""
    header = ("record", "seeds", "commit", "command")

    def row(name: str) -> Sequence[str]:
        commit, command = records.origin(name)
        file = RECORDS[name].file
        link = f"[{file}]({records.link(records.folder / file)})"
        return link, seeds(records, name), f"`{commit[:12]}`" if commit else "–", f"`{command}`"

    return table(header, [partial(row, name) for name in RECORDS], "llll")
