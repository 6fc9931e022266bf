"""A run whose recipe has teachers: they are trained first, then the network that they teach."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.ops import Ops
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.training.checkpoints import Checkpoints, Stopped, locked, resume_command
from lenet_xp.training.interrupted import BEGUN, described, read_begun
from lenet_xp.training.plan import Plan
from lenet_xp.training.record import Finished, remove_results
from lenet_xp.training.reporter import Reporter
from lenet_xp.training.run import check_free, train_run
from lenet_xp.training.teachers import read_teachers

SEEDS = 1000  # from one student's seed to the next: no two share a teacher
FREE = {  # of a plan: what may differ when its run goes on
    *("out", "overwrite", "resume", "plots", "checkpoint_every", "cache"),
    *("backend_requested", "threads", "fused", "graph"),
}


def train_distilled(
    plan: Plan,
    ops: Ops,
    reporter: Reporter,
    draw: Callable[[Finished], None],
    comm: Any = None,
) -> dict[str, Any]:
    """Train the teachers in `teachers/` of the run's folder, then the network; see `train_run`.

    The same command goes on where it was stopped: finished teachers stay, another one resumes.
    Teachers of another plan are replaced with `plan.overwrite`.
    Raises what `train_run` raises, and InputError where teachers of another plan stand.
    """
    folders = [plan.out / "teachers" / str(k + 1) for k in range(plan.recipe.teachers)]
    with locked(plan.out):
        check_free(plan)
        _begin(plan, ops)
        done = [each for each in folders if _is_finished(each)]
        read_teachers([*map(str, done)], ops)  # a damaged one is told of before the others' work
        for number, out in enumerate(folders, start=1):
            if out not in done:
                one = _plan_of(plan, number, out)
                reporter.say(f"teacher {number} of {len(folders)}, seed {one.seed}")
                _train_teacher(one, plan.out, ops, reporter, comm)
    taught = replace(plan, teachers=tuple(map(str, folders)), resume=False)
    return train_run(taught, ops, reporter, draw, comm)


def _plan_of(plan: Plan, number: int, out: Path) -> Plan:
    """The plan of a run's teacher of that number, from 1."""
    return replace(
        plan,
        recipe=plan.recipe.of_teachers(),
        out=out,
        seed=SEEDS * (plan.seed + 1) + number,
        data_seed=plan.seed,
        plots=False,
        overwrite=False,
        resume=Checkpoints(out / "checkpoints").any(),
    )


def _train_teacher(one: Plan, out: Path, ops: Ops, reporter: Reporter, comm: Any) -> None:
    try:
        make_folder(one.out)
        train_run(one, ops, reporter, comm=comm)
    except Stopped as stopped:
        way_on = f"go on with: {resume_command(out)}"
        if (out / "metrics.json").exists():  # of the run that this one is to replace
            way_on = "the same command goes on"
        raise Stopped(f"stopped; {way_on}", stopped.signum) from stopped


def _is_finished(teacher: Path) -> bool:
    return (teacher / "metrics.json").exists() and (teacher / "model.npz").exists()


def _begin(plan: Plan, ops: Ops) -> None:
    """Write the plan down, or find it there; InputError for teachers of another one."""
    begun, place = read_begun(plan.out), plan.out / "teachers"
    wanted = json.loads(json.dumps(described(plan, ops)))  # lists for tuples, as it is read back
    teachers = [path for path in place.glob("*") if path.is_dir()]
    if not begun and not teachers:
        make_folder(place)
    elif name := _difference(plan, begun, wanted):
        if not plan.overwrite:
            raise InputError(
                f"{place}: holds teachers of another run ({name}); choose another --out, or add "
                "--overwrite"
            )
        for path in teachers:
            remove_results(path)
            Checkpoints(path / "checkpoints").clear()
    else:
        return
    write_json(plan.out / BEGUN, wanted)


def _difference(plan: Plan, begun: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What differs between two descriptions of a run, if it matters; "" where nothing does."""
    found = begun.get("plan")
    if not isinstance(found, dict):
        return "its plan is lost"
    free = FREE | {"data"} if plan.resume else FREE  # the data may have been moved
    names = (name for name, value in wanted["plan"].items() if found.get(name) != value)
    others = (name for name in ("backend", "dtype") if begun.get(name) != wanted[name])
    return next((name for name in (*names, *others) if name not in free), "")
