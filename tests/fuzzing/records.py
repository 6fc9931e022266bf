"""Records of the report, JSON and CSV, and copies in the cache, of another shape than written."""

import io
import json
from copy import deepcopy
from pathlib import Path
from random import Random

import numpy as np

from fuzzing.containers import _header as change_entry
from fuzzing.mutate import mutated
from lenet_xp.training.recipes import BEST
from studies.search.design import OPTIONS

RESULTS = Path(__file__).resolve().parents[2] / "results"
# Those whose content the report's text and tables show, and draw no picture of.
FILES = ("best-amhcd/metrics.json", "best-amhcd/per_class.csv", "audit/amhcd.json")
FILES += ("classic-synthetic/metrics.json", "benchmarks/cpu.json", "seeds-amhcd/summary.json")


def hostile(rng: Random) -> tuple[dict[str, bytes], str]:
    """A folder of records with one that is changed, and how."""
    name = rng.choice([each for each in FILES if (RESULTS / each).is_file()])
    data = (RESULTS / name).read_bytes()
    if name.endswith(".json") and rng.random() < 0.7:
        record = json.loads(data)
        words = ", ".join(change_entry(rng, record) for _ in range(rng.choice((1, 1, 3, 10))))
        data = json.dumps(record).encode()
    else:
        data, words = mutated(rng, data)
    return {f"results/{name}": data}, f"{name}: {words}"


def searched(rng: Random, data: str) -> tuple[bytes, str]:
    """A search's record, nearly right for data of that name."""
    row = {"options": [], "unseen": [0, 1], "validating": 2, "accuracy": 0.9, "seconds": 1.0}
    plan = {"data": data, "present": BEST.to_dict(), "options": deepcopy(OPTIONS), "seed": 0}
    record = plan | {"rows": [row] * rng.choice((0, 1, 40))}
    words = "as it is"
    if rng.random() < 0.7:
        place = rng.choice((record, record, row))
        words = change_entry(rng, place)
    text = json.dumps(record).encode()
    return mutated(rng, text) if rng.random() < 0.2 else (text, words)


def cached(rng: Random) -> tuple[bytes, str]:
    """A kept data set, nearly right."""
    count = rng.choice((30, 29, 0, 1))
    about = {
        **{"name": "letters", "class_names": ["ya", "yan"], "source_train": None, "skipped": []},
        "files": [f"ya/{n}.jpeg" for n in range(count)],
    }
    words = change_entry(rng, about)
    side = rng.choice((32, 32, 31, 4))
    images = np.zeros((count, side, rng.choice((side, side, 5))), np.uint8)
    labels = (np.arange(count) % rng.choice((2, 3, 1))).astype(rng.choice((np.int64, np.int32)))
    buffer = io.BytesIO()
    text = json.dumps(about).encode()
    np.savez(buffer, images=images, labels=labels, about=np.frombuffer(text, np.uint8))
    return buffer.getvalue(), words
