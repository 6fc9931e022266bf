"""Score test-time averaging: the mean of several readings of each image, slightly distorted.

It costs as many readings and is no score of a single reading, so its scores are recorded apart.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lenet_xp.commands.evaluate import add_part_options, chosen_part, scored
from lenet_xp.commands.terminal import add_backend_options, choose_ops, parser, run, whole_number
from lenet_xp.data.augment import Distortion
from lenet_xp.inference import predict_probabilities
from lenet_xp.model import Sequential
from lenet_xp.model_file import load_model
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.scores.summary import Scores, summarise
from lenet_xp.system.files import write_json

MAX_VIEWS = 1_000
EXAMPLES = """\
  python -m studies.averaging --data amhcd_64.zip
      the scores of sixteen readings of each image beside those of one"""

# Half of the recipe `best`: a letter as the same hand might write it again.
VIEW_DISTORTION = Distortion(rotation=3.5, shear=0.06, scale=0.04, shift=0.6, elastic=0.45)


def averaged_probabilities(
    model: Sequential,
    images: np.ndarray,
    preprocessing: Preprocessing,
    views: int,
    seed: int = 0,
    threads: int | None = None,
) -> np.ndarray:
    """Return the mean class probabilities (N, K) float64 over `views` of each image.

    images: (N, S, S) uint8. The first view is the image as it is; VIEW_DISTORTION, drawn from
    `seed`, makes the others. Raises ValueError for fewer than one view.
    """
    if views < 1:
        raise ValueError(f"views must be at least 1, not {views}")
    rng = np.random.default_rng(seed)
    total = predict_probabilities(model, images, preprocessing, threads)
    for _ in range(views - 1):
        view = VIEW_DISTORTION.apply(images, VIEW_DISTORTION.draw(rng, len(images)))
        total += predict_probabilities(model, view, preprocessing, threads)
    total /= views
    return total


def averaging(arguments: list[str] | None = None) -> None:
    """Run the command: see --help."""
    p = parser(
        "python -m studies.averaging",
        __doc__,
        EXAMPLES,
    )
    add_part_options(p)
    p.add_argument(
        "--views",
        type=whole_number(2, MAX_VIEWS),
        default=16,
        metavar="N",
        help="readings of each image (default: 16)",
    )
    p.add_argument("--out", type=Path, metavar="FILE", help="write the scores there as JSON")
    p.add_argument("--json", action="store_true", help="print the scores as JSON")
    add_backend_options(p)
    options = p.parse_args(arguments)
    saved = load_model(options.model, choose_ops(options))
    part = chosen_part(options, saved)
    _, record = scored(part, saved, options.threads)
    probabilities = averaged_probabilities(
        saved.model, part.images, saved.preprocessing, options.views, threads=options.threads
    )
    averaged: dict[str, Any] = {
        "views": options.views,
        "seed": 0,
        "distortion": asdict(VIEW_DISTORTION),
    }
    averaged |= summarise(Scores(part.labels, probabilities, saved.class_names, groups=part.groups))
    record["averaged"] = averaged
    if options.out:
        write_json(options.out, record)
    if options.json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return
    print(f"read once: accuracy {record['accuracy']:.2%}, loss {record['loss']:.4f}")
    print(
        f"averaged over {options.views} readings of each image: accuracy "
        f"{averaged['accuracy']:.2%}, loss {averaged['loss']:.4f}"
    )


if __name__ == "__main__":
    sys.exit(run(averaging))
