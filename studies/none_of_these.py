"""Measure how well a model tells letters of unseen writers from what is no letter, by kind.

The score of a picture is the log of the sum of exp(logits) of the letters: where "none of these" is
one more class of logit 0, the log of the odds against it. Training makes none of these pictures.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.terminal import parser, run, whole_number
from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import FOLDS, make_split
from lenet_xp.model_file import SavedModel, load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.environment import git_commit, versions
from lenet_xp.system.files import make_folder, write_json
from lenet_xp.system.opencv import cv2

EXAMPLES = """\
  lenet-xp train --data amhcd_64.zip --recipe best --split writer \\
    --beside print:150 synthetic:150 --outliers 9000 --out runs/fold-0
  python -m studies.none_of_these --model runs/fold-0/model.npz --data amhcd_64.zip \\
    --mnist mnist.npz
      the model's test writers against digits, Latin letters, scribbles, pairs and more"""

SIDE = 200  # pixels: longer side of a picture as it is handed in
MARGIN = 30  # pixels: of paper around it
LATIN = "ABDFGJLMPSTVZabdefghjkmnrsz"  # no forms of Tifinagh
REFUSED = 0.9  # of what is no letter: where the share of refused letters is read
# The four groups that count alike in the total; the other kinds stand by themselves.
TOTAL = {
    "digits": ("digit 2", "digit 4", "digit 5", "digit 7"),
    "latin": ("latin",),
    "scribbles": ("scribble",),
    "pairs": ("pair beside", "pair stacked"),
}

Draw = Callable[[np.random.Generator], np.ndarray]  # a picture (h, w) uint8, ink bright


def kinds(letters: np.ndarray, names: np.ndarray, digits: dict[int, np.ndarray]) -> dict[str, Draw]:
    """What draws one picture of each kind.

    letters: (n, S, S) uint8, ink 255 on 0, by unseen writers; names: (n,) of their classes.
    digits: MNIST's images of each digit, (m, 28, 28) uint8.
    """
    # A ring or a bar beside another letter may well make a third one.
    safe = letters[~np.isin(names, ("ya", "yar", "yan"))]
    whole = {f"digit {digit}": partial(_one_of, images) for digit, images in digits.items()}
    return whole | {
        "latin": _latin,
        "scribble": _scribble,
        "pair beside": partial(_row, safe, 2),
        "pair stacked": lambda rng: _row(safe.transpose(0, 2, 1), 2, rng).T,
        "three letters": partial(_row, safe, 3),
        "page": partial(_page, letters),
        "ruled paper": _ruled,
    }


def _one_of(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(images[rng.integers(len(images))])


def _latin(rng: np.random.Generator) -> np.ndarray:
    """A letter in one of OpenCV's stroke fonts, slanted and bent."""
    page, pen = np.zeros((160, 160), np.uint8), int(rng.integers(2, 9))
    sign, face = LATIN[rng.integers(len(LATIN))], int(rng.integers(8))
    cv2.putText(page, sign, (50, 110), face, 2.5, 255, pen, cv2.LINE_AA)
    y, x = np.mgrid[:160, :160].astype(np.float32)
    noise = rng.standard_normal((2, 160, 160), np.float32)
    bend = [rng.uniform(40, 140) * cv2.GaussianBlur(each, (0, 0), 14) for each in noise]
    slant = np.float32(rng.normal(0, 0.2)) * (y - 80)
    return cv2.remap(page, x + slant + bend[0], y + bend[1], cv2.INTER_LINEAR)


def _scribble(rng: np.random.Generator) -> np.ndarray:
    """One or two smooth curves: sums of waves."""
    page, pen = np.zeros((160, 160), np.uint8), int(rng.integers(2, 9))
    for _ in range(rng.integers(1, 3)):
        along, waves = np.linspace(0, rng.uniform(0.6, 1), 200), np.arange(1, rng.integers(3, 8))
        phase = rng.uniform(0, 2 * np.pi, (2, len(waves), 1))
        height = rng.normal(0, 1, (2, len(waves), 1)) / waves[:, None] ** 0.7
        path = (height * np.sin(np.pi * waves[:, None] * along + phase)).sum(1)
        low, extent = path.min(1, keepdims=True), np.ptp(path, 1, keepdims=True)
        path = 12 + (path - low) / extent * rng.uniform(90, 130, (2, 1))
        cv2.polylines(page, [np.rint(path.T).astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    return page


def _row(letters: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many letters side by side, with gaps of 0.03 to 0.6 of their height."""
    gap = np.zeros((64, int(64 * rng.uniform(0.03, 0.6))), np.uint8)
    parts = []
    for letter in letters[rng.integers(len(letters), size=count)]:
        parts += [cv2.resize(letter, (int(64 * rng.uniform(0.7, 1.1)), 64)), gap]
    return np.hstack(parts[:-1])


def _page(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two to eight rows of two to eight letters."""
    rows, columns = rng.integers(2, 9, 2)
    chosen = letters[rng.integers(len(letters), size=(rows, columns))]
    return np.vstack([np.hstack([np.pad(each, 5) for each in row]) for row in chosen])


def _ruled(rng: np.random.Generator) -> np.ndarray:
    """Ruled or squared paper without a letter."""
    page = np.zeros((SIDE, SIDE), np.uint8)
    spacing, width = rng.integers(14, 60), rng.integers(1, 4)
    lines = (np.arange(SIDE) + rng.integers(spacing)) % spacing < width
    page[lines] = 135
    if rng.random() < 0.5:
        page[:, lines] = 135
    return page


def handed_in(ink: np.ndarray) -> np.ndarray:
    """A picture, ink bright, enlarged and dark on light with paper around it: (H, W) uint8."""
    scale = SIDE / max(ink.shape)
    large = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return 255 - np.pad(large, MARGIN)


def measure(
    saved: SavedModel, dataset: Dataset, test: np.ndarray, mnist: Path, count: int
) -> dict[str, Any]:
    """The record: `count` pictures of each kind against three times as many letters."""
    from sklearn.metrics import roc_auc_score  # its import takes a second

    rng = np.random.default_rng(0)
    with np.load(mnist) as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    digits = {digit: images[labels == digit] for digit in range(2, 10)}
    names = np.array(dataset.class_names)[dataset.labels[test]]
    drawn = kinds(dataset.images[test], names, digits)
    chosen = rng.choice(test, min(3 * count, len(test)), replace=False)
    letters, wrongly = _told(saved, [handed_in(dataset.images[each]) for each in chosen])
    others = {kind: [handed_in(draw(rng)) for _ in range(count)] for kind, draw in drawn.items()}
    told = {kind: _told(saved, pictures) for kind, pictures in others.items()}
    groups = [np.concatenate([told[kind][0] for kind in group]) for group in TOTAL.values()]
    total = np.concatenate([rng.choice(each, count) for each in groups])
    threshold = np.quantile(total, REFUSED)

    def against(scores: np.ndarray) -> dict[str, float]:
        truth = np.repeat([1, 0], [len(letters), len(scores)])
        auroc = roc_auc_score(truth, np.concatenate([letters, scores]))
        return {"auroc": float(auroc), "refused": float((scores <= threshold).mean())}

    return {
        "letters": len(chosen),
        "pictures": count,
        "total": against(total) | {"letters_refused": float((letters <= threshold).mean())},
        "letters_refused_by_model": wrongly,
        "kinds": {
            kind: against(scores) | {"refused_by_model": refused}
            for kind, (scores, refused) in told.items()
        },
    }


def _told(saved: SavedModel, pictures: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The score of each picture, (N,) float64, and the share that the model refuses."""
    ops, scaling = saved.model.ops, saved.preprocessing.scale_and_shift()
    prepared = saved.preprocessing.apply_all(pictures)
    logits = ops.to_host(saved.model.forward(ops.image_batch(prepared, *scaling)))
    scores = np.logaddexp.reduce(logits[: len(saved.class_names)].astype(np.float64), axis=0)
    refused = saved.refused(saved.probabilities(prepared))
    return np.asarray(scores), float(refused.mean())


def main(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser("python -m studies.none_of_these", __doc__, EXAMPLES)
    p.add_argument("--model", required=True, type=Path, metavar="FILE", help="trained on the fold")
    p.add_argument("--data", required=True, metavar="AMHCD", help="the AMHCD zip or folder")
    p.add_argument("--mnist", required=True, type=Path, metavar="NPZ", help="MNIST as Keras has it")
    p.add_argument("--fold", type=whole_number(0, FOLDS["writer"] - 1), default=0, metavar="N")
    p.add_argument("--count", type=whole_number(2), default=300, help="pictures of each kind")
    p.add_argument("--out", type=Path, default=Path("results/none-of-these"), metavar="FOLDER")
    options = p.parse_args(arguments)
    saved = load_model(options.model, get_ops("numpy"))
    dataset = load_dataset(options.data, saved.preprocessing)
    split = make_split(dataset, "writer", options.fold)
    record = measure(saved, dataset, split.test, options.mnist, options.count)
    record |= {"fold": options.fold, "versions": versions(), "git_commit": git_commit()}
    write_json(make_folder(options.out) / "none_of_these.json", record)
    total = record["total"]
    print(f"AUROC {total['auroc']:.4f}; {total['letters_refused']:.2%} of letters refused")


if __name__ == "__main__":
    sys.exit(run(main))
