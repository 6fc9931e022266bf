"""`lenet-xp predict --cluster`: pictures by the million, read by the workers of Dask.

A file of JSON lines grows in the order of the pictures, one line for each file. What a dead worker
had begun another one reads; a run that was stopped goes on behind its last line.
"""

import hashlib
import json
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lenet_xp.commands.predict import pages_of
from lenet_xp.errors import InputError, WorkerFailed
from lenet_xp.model_file import SavedModel
from lenet_xp.reader import Reader
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.own_process import usable_cores
from lenet_xp.system.progress import progress_bar
from lenet_xp.system.text import in_shell, reason_of
from lenet_xp.system.workers import even_slices
from lenet_xp.training.checkpoints import Stopped, locked

LETTERS, PAGES = 256, 8  # files: what a task reads
AHEAD = 3  # tasks for each thread of the cluster that are asked for before their turn
ANSWER_TIME = 10  # seconds: for a scheduler to answer
LOCAL = "local"
READINGS, ABOUT = "readings.jsonl", "readings.json"


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of workers of its own for LOCAL.

    InputError where Dask is missing or nobody answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise InputError("--cluster needs Dask: pip install distributed") from error
    dask: Any = distributed  # which has no types
    if address == LOCAL:
        how: Any = {"n_workers": usable_cores(), "threads_per_worker": 1, "dashboard_address": None}
        how["scheduler_kwargs"] = {"dashboard_address": "127.0.0.1:0"}  # any port, not a taken one
        with dask.LocalCluster(**how) as cluster, dask.Client(cluster) as client:
            yield client
        return
    try:
        client = dask.Client(address, timeout=ANSWER_TIME)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--cluster {address}: no scheduler answers there ({reason_of(error)}); start one with "
            "dask scheduler, or give local"
        ) from error
    with client:
        yield client


def read_on_cluster(files: Sequence[Path], saved: SavedModel, options: Any) -> dict[str, int]:
    """Write OUT/readings.jsonl; return how many files it has, and how many pictures were read.

    A line is as a result of --json; with --page a line has the pages of its file.
    InputError where OUT holds lines of other files or another model, or lines without --resume, and
    where another run writes there.
    """
    with locked(make_folder(options.out)):
        return _read_behind([str(file) for file in files], saved, options)


def _read_behind(names: list[str], saved: SavedModel, options: Any) -> dict[str, int]:
    """Write the lines of these files behind those that OUT has."""
    out: Path = options.out
    done = _begin(out, names, options)
    size = PAGES if options.page else LETTERS
    # Of nearly equal size: one image by itself is read with other last digits.
    rest = names[done:]
    parts = [rest[part] for part in even_slices(len(rest), -(-len(rest) // size)) if rest]
    with (
        connected(options.cluster) as client,
        open(out / READINGS, "ab") as file,
        progress_bar(len(names), "reading") as advance,
    ):
        advance(done)
        reader = client.submit(Reader, saved)  # made anew by whichever worker needs it
        how = reader, options.page, options.top

        def ask(part: list[str]) -> Any:
            return client.submit(_read_part, part, *how, pure=False)

        try:
            for lines in _in_order(client, ask, parts):
                # A name that is no UTF-8 becomes JSON's own escapes.
                file.write("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
                file.flush()
                advance(len(lines))
        except KeyboardInterrupt as error:
            again = f"add --resume to the command to go on with {in_shell(out)}"
            raise Stopped(f"stopped; {again}", signal.SIGINT) from error
    return _counted(out / READINGS)


def _in_order(client: Any, ask: Any, parts: Sequence[list[str]]) -> Iterator[list[str]]:
    """The lines of each part in turn; a few parts are under way at any time."""
    waiting: deque[tuple[Any, list[str]]] = deque()
    for part in [*parts, None]:
        if part is not None:
            waiting.append((ask(part), part))
        most = AHEAD * max(1, sum(client.nthreads().values()))
        while waiting and (part is None or len(waiting) >= most):
            future, names = waiting.popleft()
            try:
                lines: list[str] = future.result()
            except Exception as error:  # KilledWorker, or what a task raised
                span = f"{names[0]} to {names[-1]}"
                raise WorkerFailed(f"{span}: could not be read ({reason_of(error)})") from error
            yield lines


def _begin(out: Path, names: list[str], options: Any) -> int:
    """How many files have a line already; what a stop left of a last line is cut off."""
    parts = "\0".join(names).encode(errors="surrogateescape"), Path(options.model).read_bytes()
    listed, model = (hashlib.sha256(each).hexdigest() for each in parts)
    about = {"files": len(names), "names": listed, "model": model}
    about |= {"page": options.page, "top": options.top}
    known: Any = None
    with suppress(OSError, ValueError):
        known = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    lines = out / READINGS
    if not lines.exists():
        write_json(out / ABOUT, about)
        return 0
    if not options.resume:
        raise InputError(f"{out}: holds readings; add --resume to go on, or choose another --out")
    if known != about:
        raise InputError(f"{out}: holds readings of other files, options or another model")
    with open(lines, "rb+") as file:
        whole = end = 0
        for line in file:
            if line.endswith(b"\n"):
                whole, end = whole + 1, end + len(line)
        file.truncate(end)
    return whole


def _read_part(names: list[str], reader: Reader, page: bool, top: int) -> list[str]:
    """The line of each file; it runs on a worker."""
    rows: list[dict[str, Any]]
    if page:
        rows = [{"pages": list(_pages_of(name, reader, top))} for name in names]
    else:
        readings, bad = reader.try_many(names, 1, top)
        rows = [
            {"reason": bad[i].removeprefix(f"{name}: ")} if i in bad else next(readings).as_dict()
            for i, name in enumerate(names)
        ]
    pairs = zip(names, rows, strict=True)
    return [json.dumps({"file": name} | row, ensure_ascii=False) for name, row in pairs]


def _pages_of(name: str, reader: Reader, top: int) -> Iterator[dict[str, Any]]:
    """What is read of each page of a file, or why it is not."""
    for number, _, grey in pages_of(Path(name), Path(name), False):
        known = {"reason": grey} if isinstance(grey, str) else reader.read_page(grey).as_dict(top)
        yield {"page": number} | known


def _counted(lines: Path) -> dict[str, int]:
    """How many files and pages were read, and how many could not be."""
    counts = {"files": 0, "read": 0, "unreadable": 0}
    with open(lines, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            counts["files"] += 1
            for each in row["pages"] if isinstance(row.get("pages"), list) else [row]:
                counts["unreadable" if "reason" in each else "read"] += 1
    return counts
