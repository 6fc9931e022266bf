"""What stands in the folder of a run that is not over: its plan, by which it goes on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.inference import worker_count
from lenet_xp.ops import BACKENDS, Ops
from lenet_xp.training.checkpoints import Checkpoints
from lenet_xp.training.plan import MAX_THREADS, Plan

BEGUN = "teachers/plan.json"  # of a run that trains its teachers first


def interrupted_run(out: Path) -> tuple[Plan, str, str]:
    """The plan of the run that is not over in a folder, its backend and its dtype.

    Raises InputError for a folder without any, and for a run that is finished.
    """
    checkpoints = Checkpoints(out / "checkpoints")
    if (out / "metrics.json").exists() and not checkpoints.any():
        raise InputError(f"{out}: the run is finished; there is nothing to resume")
    if (out / BEGUN).exists() and not checkpoints.any():
        description = read_begun(out)
    else:
        _, description = checkpoints.latest(lambda text: None)
    try:
        plan = replace(Plan.from_dict(description["plan"]), out=out, resume=True)
        backend, dtype, threads = (description[name] for name in ("backend", "dtype", "threads"))
        known = backend in BACKENDS and dtype in ("float32", "float64")
        if not known or type(threads) is not int or not 1 <= threads <= MAX_THREADS:
            raise ValueError("its backend, dtype or threads are unknown")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{out}: its checkpoints are of another version; start again") from error
    teachers = tuple(_moved_along(out, each) for each in plan.teachers)
    return replace(plan, teachers=teachers), backend, dtype


def described(plan: Plan, ops: Ops) -> dict[str, Any]:
    """What tells a plan and where it is carried out, of plain values; paths are absolute."""
    start = plan.start and _absolute(plan.start)
    paths = {"data": _absolute(plan.data), "start": start}
    return {
        "plan": plan.to_dict() | paths | {"teachers": [*map(_absolute, plan.teachers)]},
        "backend": ops.name,
        "dtype": ops.dtype_name,
        "threads": worker_count(ops, plan.threads),  # sums of floats depend on it
    }


def read_begun(out: Path) -> dict[str, Any]:
    """What a run that trains its teachers first was begun with; {} where that cannot be read."""
    try:
        found = json.loads((out / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _absolute(data: str) -> str:
    """A data source as a path that is valid in every working directory."""
    return str(Path(data).absolute()) if Path(data).exists() else data


def _moved_along(out: Path, teacher: str) -> str:
    """A teacher's path, also after the folder of the run that trained it was moved."""
    own = out / "teachers" / Path(teacher).name
    return str(own) if Path(teacher).parent.name == "teachers" and own.exists() else teacher
