"""What all commands share: one-line errors, exit statuses, options and their types."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from lenet_xp.data.splits import MAX_SAMPLES, MIN_IMAGES, SPLITS
from lenet_xp.errors import InputError, Stopped, TrainingDiverged, WorkerFailed
from lenet_xp.model_file import MODELS, SHIPPED, named_model
from lenet_xp.ops import BACKENDS, BackendUnavailable, Ops, get_ops
from lenet_xp.system.files import json_text, make_folder
from lenet_xp.system.own_process import owned
from lenet_xp.system.streams import failed, say, with_streams
from lenet_xp.system.workers import MAX_THREADS


def run(command: Callable[[list[str] | None], None], arguments: list[str] | None = None) -> int:
    """Run a command and return 0, 2 for bad input, 130 for Ctrl-C or 143 for SIGTERM."""
    os.environ["MPLBACKEND"] = "agg"  # a notebook's shell may name one that this Python lacks
    return with_streams(lambda: _status(command, arguments))


def _status(command: Callable[[list[str] | None], None], arguments: list[str] | None) -> int:
    try:
        with owned():
            command(arguments)
        sys.stdout.flush()  # here, where Ctrl-C ends it in one line
        return 0
    except (InputError, BackendUnavailable, TrainingDiverged, WorkerFailed) as error:
        return failed(str(error))
    except MemoryError:
        return failed("out of memory; try a smaller --batch-size or less data")
    except UnicodeEncodeError as error:
        name = error.object[max(error.start - 40, 0) : error.end + 40]
        return failed(f"the name {name!r} is not valid UTF-8; rename the file")
    except Stopped as stopped:
        say("\n" * sys.stderr.isatty() + str(stopped))
        return 128 + stopped.signum
    except KeyboardInterrupt:  # a terminal shows ^C, so the message goes below it
        say("\n" * sys.stderr.isatty() + "stopped by Ctrl-C")
        return 130


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, as those of commands are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def parser(program: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a program such as "lenet-xp train"; its help ends with examples."""
    return _Parser(
        prog=program,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_model_option(to: argparse.ArgumentParser, positional: bool = True) -> None:
    """Add --model, by default the package's own; `positional` accepts it without --model too."""
    about = f"a run's model.npz, or one of the package's: {', '.join(MODELS)} (default: letters)"
    add, unset = to.add_argument, argparse.SUPPRESS  # the latter leaves --model as it is
    add("--model", metavar="FILE|NAME", type=model_file, default=SHIPPED, help=about)
    if positional:
        how: dict[str, Any] = {"nargs": "?", "type": model_file, "default": unset}
        add("model", metavar="MODEL", help="the same, without --model", **how)


def add_backend_options(to: argparse.ArgumentParser) -> None:
    """Add --backend, --no-fallback, --dtype, --no-graph and --threads."""
    add = to.add_argument
    add(
        "--backend", choices=BACKENDS, default="auto", help="default: CuPy if a GPU works, or NumPy"
    )
    add("--no-fallback", action="store_true", help="with --backend: status 2, never NumPy instead")
    add("--dtype", choices=("float32", "float64"), default="float32")
    add(
        "--no-graph",
        dest="graph",
        action="store_false",
        help="on a GPU: launch kernels one by one, not as CUDA graphs; slower, same results",
    )
    add(
        "--threads", type=whole_number(1, MAX_THREADS), metavar="N", help="CPU cores (default: all)"
    )


def add_data_option(
    to: argparse.ArgumentParser, default: str | None, skip_bad: bool = True
) -> None:
    """--data, --columns, --skip-bad unless the command always does, and --no-cache."""
    from lenet_xp.data.sources import accepted_sources  # its readers are slow to import

    add = to.add_argument
    add(
        "--data",
        "--labels",
        metavar="SOURCE",
        default=default,
        required=default is None,
        help=accepted_sources() + (f" (default: {default})" if default else ""),
    )
    add("--columns", metavar="FILE,LABEL", help="names of these columns in a table of labels")
    if skip_bad:
        add("--skip-bad", action="store_true", help="leave out unreadable images and list them")
    add("--no-cache", dest="cache", action="store_false", help="neither read nor write the cache")


def add_split_options(to: argparse.ArgumentParser, instead: str) -> None:
    """Add --split and --fold, both None by default; `instead` describes that default."""
    to.add_argument(
        "--split",
        choices=sorted(SPLITS),
        help="how images are split for training and test; 'writer' tests on unseen writers (AMHCD) "
        f"(default: {instead})",
    )
    to.add_argument(
        "--fold",
        type=whole_number(0),
        metavar="K",
        help="fold of the split, from 0; 'kfold' and 'writer' have 5 (default: 0)",
    )


def add_samples_option(
    to: argparse.ArgumentParser, default: int | None, instead: str, most: int = MAX_SAMPLES
) -> None:
    """Add --samples, at least as many as can be split into training, validation and test."""
    to.add_argument(
        "--samples",
        dest="samples_per_class",
        type=whole_number(MIN_IMAGES, most),
        default=default,
        metavar="N",
        help=f"generated images per letter, for synthetic and print (default: {instead})",
    )


def choose_ops(options: argparse.Namespace) -> Ops:
    """Return the ops of --backend, or NumPy's, with a warning, if it cannot compute here."""
    asked = options.backend != "auto"
    try:
        return get_ops(options.backend if asked else "cupy", options.dtype, options.graph)
    except BackendUnavailable as error:
        if options.no_fallback and asked:
            raise
        if error.installed or asked:
            wanted = options.backend if asked else "CuPy"
            say(f"WARNING: running on NumPy, not on {wanted}: {error}")
        return get_ops("numpy", options.dtype, options.graph)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Create a folder; if the block fails, remove what was created, unless it holds files."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # no longer empty
            for each in new:
                each.rmdir()
        raise


def path(text: str) -> Path:
    """Parse a path, as an argparse type; a shell expands "~" in `--out ~/x`, not in `--out=~/x`."""
    return Path(os.path.expanduser(text))


def model_file(text: str) -> Path | str:
    """Parse a model's file or name, as an argparse type; a file of that name wins."""
    if text is argparse.SUPPRESS:  # in place of a positional argument that is not given
        return text
    if text in MODELS and os.path.isfile(text):
        say(f"model {text}: the file of that name, not the package's own model")
    return named_model(path(text))


def print_json(value: Any) -> None:
    """Print a value as indented JSON, numbers that are none as null."""
    print(json_text(value), end="")


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Return an argparse type: a whole number from `lowest` up to `highest`, if given."""
    span = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest:,}"

    def parse(text: str) -> int:
        with suppress(ValueError):
            if lowest <= (value := int(text)) and (highest is None or value <= highest):
                return value
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a whole number {span}")

    return parse


def positive_number(text: str) -> float:
    """Parse a finite number above zero, as an argparse type."""
    with suppress(ValueError):
        if 0.0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r:.40} is not a positive number")
