"""A run whose recipe has teachers: they are trained first, then the network that they teach."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lenet_xp.errors import InputError
from lenet_xp.ops import Ops
from lenet_xp.system.text import in_shell
from lenet_xp.training.checkpoints import Checkpoints, Stopped
from lenet_xp.training.plan import Plan
from lenet_xp.training.record import Finished
from lenet_xp.training.reporter import Reporter
from lenet_xp.training.run import interrupted_run, train_run

SEEDS = 1000  # from one student's seed to the next: no two share a teacher
SETTING = "recipe", "seed", "fold", "photos", "beside", "outliers", "stream"  # of a run's record


def train_distilled(
    plan: Plan,
    ops: Ops,
    reporter: Reporter,
    draw: Callable[[Finished], None],
    comm: Any = None,
) -> dict[str, Any]:
    """Train the teachers in `teachers/` of the run's folder, then the network; see `train_run`.

    The same command goes on where it was stopped: finished teachers stay, another one resumes.
    Raises what `train_run` raises, and InputError where a teacher of another setting stands.
    """
    folders = [plan.out / "teachers" / str(k + 1) for k in range(plan.recipe.teachers)]
    for number, out in enumerate(folders, start=1):
        one = replace(
            plan,
            recipe=plan.recipe.of_teachers(),
            out=out,
            seed=SEEDS * (plan.seed + 1) + number,
            data_seed=plan.seed,
            plots=False,
            overwrite=False,
            resume=Checkpoints(out / "checkpoints").any(),
        )
        if (finished := (out / "metrics.json").exists()) or one.resume:
            _check_setting(out, one, finished)
        if finished:
            continue
        reporter.say(f"teacher {number} of {len(folders)}, seed {one.seed}")
        try:
            out.mkdir(parents=True, exist_ok=True)
            train_run(one, ops, reporter, comm=comm)
        except Stopped as stopped:
            words = f"stopped; the same command with --out {in_shell(plan.out)} goes on"
            raise Stopped(words, stopped.signum) from stopped
    taught = replace(plan, teachers=tuple(map(str, folders)))
    return train_run(taught, ops, reporter, draw, comm)


def _check_setting(out: Path, plan: Plan, finished: bool) -> None:
    """InputError where a teacher that was trained, or begun, is another one than planned."""
    if finished:
        found = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["config"]
    else:
        found = interrupted_run(out)[0].to_dict()
    wanted = plan.to_dict()
    for name in SETTING:
        if len({json.dumps(each.get(name), sort_keys=True) for each in (found, wanted)}) > 1:
            raise InputError(f"{out}: holds a teacher of another run ({name}); give another --out")
