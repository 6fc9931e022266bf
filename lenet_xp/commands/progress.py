"""The training's progress: a live bar on a terminal, one plain line per epoch in a log."""

import sys
from typing import Any

from tqdm import tqdm

from lenet_xp.shown import shown
from lenet_xp.training import Progress


class EpochLines:
    """Receives progress and history rows and shows them on standard error."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._bar: tqdm | None = None

    def __enter__(self) -> "EpochLines":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def say(self, text: str) -> None:
        """A line of its own."""
        self._close()
        print(shown(text), file=sys.stderr, flush=True)

    def progress(self, progress: Progress) -> None:
        """Move the bar of the running epoch."""
        if not self._live:
            return
        if self._bar is None:
            self._bar = tqdm(
                total=progress.total,
                desc=f"epoch {progress.epoch}/{progress.epochs}",
                unit=" images",
                leave=False,
                dynamic_ncols=True,
                file=sys.stderr,
            )
        self._bar.set_postfix_str(
            f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.2%}", refresh=False
        )
        self._bar.update(progress.images - self._bar.n)

    def epoch(self, row: dict[str, Any], epochs: int, images: int) -> None:
        """The line that stays when an epoch is over."""
        self.say(
            f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  "
            f"loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:7.2%}  "
            f"validation loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:7.2%}  "
            f"{images / row['seconds']:9,.0f} images/s"
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
