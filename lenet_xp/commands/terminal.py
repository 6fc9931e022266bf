"""How every command meets its user: one-line errors, exit statuses, shared options."""

import argparse
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from lenet_xp.data.splits import MIN_IMAGES, SPLITS
from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.model_file import SHIPPED
from lenet_xp.ops import BACKENDS, BackendUnavailable, Ops, get_ops
from lenet_xp.system.files import make_folder
from lenet_xp.system.text import printable
from lenet_xp.training.checkpoints import Stopped
from lenet_xp.training.loop import TrainingDiverged
from lenet_xp.training.plan import MAX_SAMPLES, MAX_THREADS

LONGEST_ERROR = 2000  # characters of its one line


def run(command: Callable[[list[str] | None], None], arguments: list[str] | None = None) -> int:
    """Run a command; its exit status: 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what cannot show Tifinagh shows code points
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not where its cache lies instead
    try:
        command(arguments)
        sys.stdout.flush()
        return 0
    except (InputError, BackendUnavailable, TrainingDiverged, WorkerFailed) as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("out of memory; try a smaller --batch-size or less data")
    except UnicodeEncodeError as error:
        name = error.object[max(error.start - 40, 0) : error.end + 40]
        return _failed(f"the name {name!r} is not valid UTF-8; rename the file")
    except Stopped as stopped:
        print("\n" * sys.stderr.isatty() + str(stopped), file=sys.stderr)
        return 128 + stopped.signum
    except KeyboardInterrupt:
        # A terminal shows ^C: the words go below it.
        print("\n" * sys.stderr.isatty() + "stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141  # the reader of a pipe has left: nobody is there to be told
    except OSError as error:
        return _failed(f"{error.filename or 'standard output'}: {error.strerror or error}")


def _failed(message: str) -> int:
    line = printable(" ".join(message.splitlines()))
    if len(line) > LONGEST_ERROR:  # names in archives may have 65,535 bytes
        line = f"{line[: LONGEST_ERROR // 2]} ... {line[-LONGEST_ERROR // 2 :]}"
    print("error:", line, file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """argparse's own, but for control characters in what it repeats of a command line."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parser(program: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The argument parser of a program such as "lenet-xp train"; its --help ends with examples."""
    return _Parser(
        prog=program,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_model_option(to: argparse.ArgumentParser, positional: bool = True) -> None:
    """--model, the package's own by default; `positional` takes it without --model as well."""
    to.add_argument(
        "--model",
        metavar="FILE",
        default=SHIPPED,
        help="the model.npz of a run (default: the model that comes with the package)",
    )
    if positional:
        to.add_argument(
            "model",
            nargs="?",
            metavar="MODEL",
            default=argparse.SUPPRESS,  # leaves --model as it is, unless a type makes it a value
            help="the same, without --model",
        )


def add_backend_options(to: argparse.ArgumentParser) -> None:
    """--backend, --no-fallback, --dtype, --no-graph and --threads."""
    to.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="auto takes CuPy where a GPU really computes, else NumPy (default: auto)",
    )
    to.add_argument(
        "--no-fallback",
        action="store_true",
        help="with --backend cupy: stop, exit status 2, rather than go on on NumPy",
    )
    to.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    to.add_argument(
        "--no-graph",
        action="store_true",
        help="on a GPU: launch kernels one by one, not as CUDA graphs; slower, to the same bits",
    )
    to.add_argument(
        "--threads",
        type=whole_number(1, MAX_THREADS),
        metavar="N",
        help="cores to use on a CPU (default: all that the process may)",
    )


def add_data_option(
    to: argparse.ArgumentParser, default: str | None, skip_bad: bool = True
) -> None:
    """--data, --skip-bad unless the command always does, and --no-cache."""
    from lenet_xp.data.sources import accepted_sources  # its readers are slow to import

    to.add_argument(
        "--data",
        metavar="SOURCE",
        default=default,
        required=default is None,
        help=accepted_sources() + (f" (default: {default})" if default else ""),
    )
    if skip_bad:
        to.add_argument(
            "--skip-bad", action="store_true", help="leave out unreadable images and list them"
        )
    to.add_argument(
        "--no-cache", action="store_true", help="read the images again, and keep no copy"
    )


def add_split_options(to: argparse.ArgumentParser, instead: str) -> None:
    """--split and --fold, the latter None where it is not given."""
    to.add_argument(
        "--split",
        choices=sorted(SPLITS),
        help="which images train and which test; 'writer' tests on writers never seen (AMHCD) "
        f"(default: {instead})",
    )
    to.add_argument(
        "--fold",
        type=whole_number(0),
        metavar="K",
        help="which of a split's folds, from 0: 'kfold' and 'writer' have 5 (default: 0)",
    )


def add_samples_option(to: argparse.ArgumentParser, default: int | None, instead: str) -> None:
    """--samples; no fewer than can be split into training, validation and test images."""
    to.add_argument(
        "--samples",
        type=whole_number(MIN_IMAGES, MAX_SAMPLES),
        default=default,
        metavar="N",
        help=f"generated images per letter, for synthetic data (default: {instead})",
    )


def choose_ops(options: argparse.Namespace) -> Ops:
    """The ops that --backend asks for; NumPy where CuPy cannot compute.

    One line on standard error says so where CuPy was asked for by name or is installed.
    """
    automatic = options.backend == "auto"
    try:
        backend = "cupy" if automatic else options.backend
        return get_ops(backend, options.dtype, not options.no_graph)
    except BackendUnavailable as error:
        if options.no_fallback and not automatic:
            raise
        if error.installed or not automatic:
            print(f"WARNING: running on NumPy, not on CuPy: {error}", file=sys.stderr)
        return get_ops("numpy", options.dtype)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder; where the block fails and leaves it empty, it goes again with its parents."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # no longer empty
            for each in new:
                each.rmdir()
        raise


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `lowest`, at most `highest` if given."""
    span = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest:,}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if value < lowest or (highest is not None and value > highest):
            raise argparse.ArgumentTypeError(f"{text!r:.40} is not a whole number {span}")
        return value

    return parse


def positive_number(text: str) -> float:
    """An argparse type: a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a positive number")
    return value
