"""Keeps a run's state now and then, when it is asked to stop, and never a broken one."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lenet_xp.checkpoint import Checkpoints, State
from lenet_xp.errors import InputError
from lenet_xp.invocation import as_called
from lenet_xp.stopping import Stopped, StopRequest


class RunKeeper:
    """The keeper of a run that has a folder.

    run: which run it is, kept with every state. state: to go on from, if there is one. every:
    seconds from one checkpoint to the next.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        run: dict[str, Any],
        state: State | None,
        every: float,
        request: StopRequest,
        say: Callable[[str], None],
    ):
        self._checkpoints, self._run, self._state = checkpoints, run, state
        self._every, self._request, self._say = every, request, say
        self._saved = time.monotonic()  # no clock that can be set back
        self._warned = False

    def restored(self) -> State | None:
        """The state to go on from; None to begin."""
        return self._state

    def after_step(self, state: Callable[[], State]) -> None:
        """Save if it is time; save and raise Stopped if somebody asked for it."""
        if self._request.signum is not None:
            self._save(state())
            raise Stopped(
                f"stopped; go on with: {as_called('lenet-xp train')} "
                f"--resume {self._checkpoints.folder.parent}",
                self._request.signum,
            )
        if time.monotonic() - self._saved >= self._every:
            try:
                self._save(state())
            except InputError as error:  # what is trained is worth more than its copy
                if not self._warned:
                    self._say(f"WARNING: training goes on without checkpoints: {error}")
                self._warned = True
            self._saved = time.monotonic()

    def _save(self, state: State) -> None:
        if np.isfinite(state.arrays["values"]).all():  # the last good one is to stay
            self._checkpoints.save(state, self._run)
