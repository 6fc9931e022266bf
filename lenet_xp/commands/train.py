"""Train LeNet-5 and leave a tested model with its plots and records."""

import argparse
import os
import signal
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from lenet_xp.commands import terminal
from lenet_xp.commands.terminal import made_folder, parser, path, positive_number, whole_number
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letter
from lenet_xp.model_file import SHIPPED
from lenet_xp.ops import Ops
from lenet_xp.system.progress import LinesAndBar
from lenet_xp.system.streams import say, tell
from lenet_xp.system.text import in_shell
from lenet_xp.training import ranks
from lenet_xp.training.distilled import train_distilled
from lenet_xp.training.interrupted import interrupted_run
from lenet_xp.training.loop import EpochProgress
from lenet_xp.training.plan import (
    MAX_OUTLIERS,
    MAX_PHOTOS,
    MAX_SAMPLES,
    MOST_STREAMED,
    Plan,
    check_beside,
)
from lenet_xp.training.recipes import (
    CLASSIC,
    FINE_TUNE,
    LARGEST_BATCH,
    MOST_EPOCHS,
    RECIPES,
    Recipe,
    named_recipe,
)
from lenet_xp.training.record import Finished
from lenet_xp.training.run import train_run
from lenet_xp.training.start import REPLAYED_OUTLIERS, read_start
from lenet_xp.training.transfer import convolution_parameters

DEFAULT_DATA = "synthetic"

EXAMPLES = """\
  lenet-xp train
      learn generated letters, with no download, and draw what was learned
  lenet-xp train --data amhcd_64.zip --recipe best --out runs/best
      an accurate recipe on real handwriting, in minutes
  lenet-xp train --data amhcd_64.zip --recipe distilled --beside synthetic:300 --out runs/distilled
      the most accurate: it trains five networks first, which then teach one
  lenet-xp train --data mnist.npz --recipe best
      the original benchmark
  lenet-xp train --data amhcd_64.zip --recipe best --split writer --fold 0
      tested on 12 writers of whom it has seen nothing
  lenet-xp train --data amhcd_64.zip --recipe best --photos 1 --beside print:200 --outliers 9000
      for photographs and print, too, and to refuse what is no letter, as the model that comes along
  lenet-xp train --resume runs/best
      go on where Ctrl-C, a crash or a power cut ended the run
  lenet-xp train --plain --threads 1 --epochs 1
      for a debugger: layers.py runs as it is written, no step is repeated from a capture
  lenet-xp train --recipe my.toml --data photos/
      another network, colours, other rates: a file as every run leaves it (recipe.toml)
  lenet-xp train --backend cupy
      on a CUDA GPU"""


class _EpochLines(LinesAndBar):
    """A line per epoch and, on a terminal, the running epoch as a bar."""

    def progress(self, progress: EpochProgress) -> None:
        """Move the bar of the running epoch."""
        label = f"epoch {progress.epoch}/{progress.epochs}"
        note = f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.2%}"
        self.move(label, progress.images, progress.total, "images", note)

    def epoch(self, row: dict[str, Any], epochs: int, images: int) -> None:
        """The line that stays when an epoch is over."""
        self.say(
            f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  "
            f"loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:7.2%}  "
            f"validation loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:7.2%}  "
            f"{images / row['seconds']:9,.0f} images/s"
        )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    p = parser(
        "lenet-xp train", "Train LeNet-5, score it on a test set, draw what it learned.", EXAMPLES
    )
    _add_data_options(p)
    _add_recipe_options(p)
    _add_folder_options(p)
    p.add_argument(
        "--no-plots", dest="plots", action="store_false", help="leave out the reports and pictures"
    )
    p.add_argument(
        "--plain",
        dest="fused",
        action="store_false",
        help="run each layer's own forward and backward of layers.py, anew in every step, so that "
        "a breakpoint there is hit (with --threads 1); about half as fast",
    )
    terminal.add_backend_options(p)
    options = p.parse_args(arguments)
    if options.resume:
        _check_alone(p, options)
    options.graph = options.graph and options.fused
    return options


def _add_data_options(p: argparse.ArgumentParser) -> None:
    terminal.add_data_option(p, DEFAULT_DATA)
    terminal.add_samples_option(p, 400, "400", MOST_STREAMED)
    p.add_argument(
        "--stream",
        action="store_true",
        help="hold no training images: generate letters anew in each epoch (--samples may be up to "
        f"{MOST_STREAMED:,}), or read the files of a folder again",
    )
    p.add_argument(
        "--photos",
        type=whole_number(0, MAX_PHOTOS),
        default=0,
        metavar="N",
        help="learn from each letter N times more, as it is read off a drawn page in bad light: "
        "for photographs (default: 0)",
    )
    p.add_argument(
        "--beside",
        type=_beside,
        nargs="+",
        default=[],
        metavar="SOURCE:N",
        help="learn from other letters, too, such as print:200 and synthetic:300, which generate "
        "so many of each letter",
    )
    p.add_argument(
        "--outliers",
        type=whole_number(0, MAX_OUTLIERS),
        default=0,
        metavar="N",
        help="learn from N generated pictures of no letter, to say of such: none of these "
        "(default: 0, the network always chooses a letter)",
    )
    terminal.add_split_options(p, "the data's own test set, else the seed's random fifth")
    p.add_argument(
        "--allow-overlap",
        action="store_true",
        help="keep images that stand on two sides of the split, in training and test set for one",
    )


def _add_recipe_options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--recipe",
        type=_recipe,
        metavar="NAME|FILE",
        help="classic is the seed's: tanh, SGD 0.1, batch 64, 10 epochs; best is accurate, "
        "distilled the most accurate and some twelve times as long; 1998 is LeCun et al.'s, with "
        "all of the paper; or a TOML file as a run leaves "
        "it, with any network (default: classic, with --from fine-tune)",
    )
    p.add_argument(
        "--from",
        dest="start",
        type=terminal.model_file,
        nargs="?",
        const=SHIPPED,
        metavar="MODEL",
        help="start from a trained model (without a name: the package's): it keeps its classes, "
        "learns the data's new ones, and learns generated letters again, so as not to forget",
    )
    p.add_argument(
        "--teachers",
        type=path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="learn the mean answer of these runs' models in place of the labels; they must have "
        "been trained on the same data and split",
    )
    p.add_argument(
        "--freeze", action="store_true", help="with --from: the convolutions stay as they are"
    )
    p.add_argument(
        "--epochs", type=whole_number(1, MOST_EPOCHS), metavar="N", help="instead of the recipe's"
    )
    p.add_argument("--batch-size", type=whole_number(1, LARGEST_BATCH), metavar="N")
    p.add_argument("--learning-rate", type=positive_number, metavar="X")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of weights and batches")


def _add_folder_options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--out",
        type=path,
        metavar="FOLDER",
        help="where results go (default: runs/RECIPE-DATA, numbered if taken)",
    )
    p.add_argument("--overwrite", action="store_true", help="replace the run that --out holds")
    p.add_argument(
        "--resume",
        type=path,
        metavar="FOLDER",
        help="go on with the run that was interrupted there, as it began and to the same bits, or "
        "draw the pictures that could not be drawn at its end; "
        "of the other options only --data, --from and --teachers count, for what has moved",
    )
    p.add_argument(
        "--checkpoint-every",
        type=positive_number,
        default=10.0,
        metavar="SECONDS",
        help="how much may be lost when the machine dies (default: 10)",
    )


def _check_alone(p: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """InputError where --resume stands beside an option that would be ignored."""
    for each in p._actions:
        name, option = each.dest, each.option_strings[0]
        given = getattr(options, name, each.default) != each.default
        if given and name not in ("resume", "data", "start", "teachers"):
            raise InputError(f"--resume goes on as the run began; leave out {option}")


def _check_stream(options: argparse.Namespace) -> None:
    """InputError where --stream stands beside what needs all images, or must stand and does not."""
    if not options.stream and options.samples_per_class > MAX_SAMPLES:
        raise InputError(f"--samples: more than {MAX_SAMPLES:,} of each letter need --stream")
    for name in ("photos", "beside", "outliers", "start", "skip_bad", "split"):
        if options.stream and getattr(options, name):
            word = {"start": "from"}.get(name, name.replace("_", "-"))
            raise InputError(f"--{word}: does not go with --stream; leave one of them out")


def _beside(word: str) -> str:
    try:
        return check_beside(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _recipe(word: str) -> Recipe:
    """The recipe of that file or name."""
    try:
        recipe = named_recipe(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if word in RECIPES and recipe is not RECIPES[word]:
        say(f"recipe {word}: the file of that name, not the package's own recipe")
    return recipe


def _out_folder(options: argparse.Namespace, recipe: Recipe) -> Path:
    if options.out is None:
        data = Path(os.path.abspath(options.data)).stem
        first = Path("runs") / f"{recipe.name}-{data}"
        others = (first.with_name(f"{first.name}-{number}") for number in count(2))
        return next(folder for folder in chain([first], others) if not folder.exists())
    out: Path = options.out
    for word, paths in (("start from", [options.start]), ("learn from", options.teachers)):
        places = (p for path in filter(None, paths) for p in (Path(path), Path(path).parent))
        if out.resolve() in (place.resolve() for place in places):
            raise InputError(f"{out}: holds the model to {word}; choose another --out")
    if (out / "metrics.json").exists() and not options.overwrite:
        raise InputError(f"{out}: holds a finished run; choose another --out, or add --overwrite")
    return out


def train(arguments: list[str] | None = None) -> None:
    """The command: see --help. Under mpiexec, rank 0 runs it and the others help."""
    comm = ranks.world()
    if comm is not None and comm.rank:
        for each in (signal.SIGINT, signal.SIGTERM):  # rank 0 answers them, and ends this one
            signal.signal(each, signal.SIG_IGN)
        ranks.follow(comm)
        return
    try:
        options = _options(arguments)
        plan, ops = _resumed(options) if options.resume else _planned(options)
        with made_folder(plan.out), _EpochLines() as lines:
            trained = train_distilled if plan.recipe.teachers and not plan.teachers else train_run
            record = trained(plan, ops, lines, _draw, comm)
    finally:
        if comm is not None:
            ranks.dismiss(comm)
    _closing_words(record, plan.out)


def _draw(run: Finished) -> None:
    from lenet_xp.commands.pictures import draw_run  # matplotlib is slow to import

    draw_run(run)


def _resumed(options: argparse.Namespace) -> tuple[Plan, Ops]:
    """The interrupted run, on the backend that it began on."""
    plan, options.backend, options.dtype = interrupted_run(options.resume)
    if options.data != DEFAULT_DATA:
        plan = replace(plan, data=options.data)
    if options.start:
        plan = replace(plan, start=str(options.start))
    if options.teachers:
        plan = replace(plan, teachers=(*map(str, options.teachers),))
    options.no_fallback, options.graph = True, plan.graph
    return plan, terminal.choose_ops(options)


def _planned(options: argparse.Namespace) -> tuple[Plan, Ops]:
    recipe, ops = options.recipe or CLASSIC, terminal.choose_ops(options)
    again: tuple[str, ...] = ()
    if options.start:
        start = read_start(options.start, ops)
        recipe = options.recipe or start.recipe(FINE_TUNE)
        chosen = {word.rpartition(":")[0] for word in options.beside}
        again = tuple(word for word in start.replayed if word.rpartition(":")[0] not in chosen)
        refuses = start.refuses and recipe.channels == 1
        options.outliers = options.outliers or REPLAYED_OUTLIERS * refuses
        options.start = start.saved.name
        if options.freeze and not convolution_parameters(start.saved.model):
            raise InputError(f"--freeze: {options.start} has no convolutions; leave it out")
    _check_stream(options)
    if options.freeze and not options.start:
        raise InputError("--freeze: keeps a model's convolutions; add --from MODEL")
    recipe = recipe.with_options(
        epochs=options.epochs, batch_size=options.batch_size, learning_rate=options.learning_rate
    )
    for name in ("photos", "beside", "outliers"):
        if getattr(options, name) and recipe.channels != 1:
            raise InputError(f"--{name}: are grey, but the recipe keeps colours; leave it out")
    given = {name: each for name, each in vars(options).items() if name in Plan.__annotations__}
    given |= {"recipe": recipe, "out": _out_folder(options, recipe), "resume": False}
    given |= {
        "beside": (*options.beside, *again),
        "teachers": (*map(str, options.teachers),),
        "fold": options.fold or 0,
    }
    return Plan(**given, backend_requested=options.backend), ops


def _closing_words(record: dict[str, Any], out: Path) -> None:
    kept = record["config"]["allow_overlap"] and any(record["overlap"].values())
    kept = kept or bool(record["start"] and record["start"]["met_tested"])
    low, high = record["test_accuracy_interval"]
    words = (
        f"{'not all of them new' if kept else 'never used before'} (best of {record['epochs']} "
        f"epochs on validation: {record['best_val_accuracy']:.2%}, epoch {record['best_epoch']})"
    )
    if record["split"] == "few":
        words = f"by networks that never saw them (95% interval {low:.2%} to {high:.2%})"
    tell(
        f"test accuracy {record['test_accuracy']:.2%} on {record['n_test']:,} images {words}",
        f"{record['images_per_second']:,.0f} images/s on {record['backend']} ({record['device']}); "
        f"results in {out}/",
    )
    pairs = record["confused_pairs"][:3]
    if pairs:
        words = ", ".join(
            f"{_spoken(p['true'])} as {_spoken(p['predicted'])} ({p['count']})" for p in pairs
        )
        tell(f"most confused: {words}")
    tell(f"next: lenet-xp predict IMAGE_OR_FOLDER --model {in_shell(out / 'model.npz')}")
    if record["dataset"] == "synthetic":
        tell("      lenet-xp train --data amhcd --recipe best    (real handwriting)")


def _spoken(name: str) -> str:
    """A class by glyph and name; one that is no letter of the alphabet by its name alone."""
    glyph = letter(name).glyph
    return name if glyph == name else f"{glyph} {name}"
