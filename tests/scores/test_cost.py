"""A run computes each score of its test once, and what scores nothing loads no slow library."""

import cProfile
import pstats
import subprocess
import sys
from pathlib import Path

from lenet_xp.commands.train import train

# Importing any of them takes half a second or more.
SLOW = {"matplotlib", "scipy", "sklearn"}
WITHOUT = """
import sys
import numpy as np
import lenet_xp.commands.evaluate, lenet_xp.commands.predict, lenet_xp.commands.train
import lenet_xp.scores.tables
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.model import LeNet5
from lenet_xp.ops import get_ops
from lenet_xp.training.recipes import RECIPES
from lenet_xp.training.loop import fit
images, labels = np.zeros((6, 32, 32), np.uint8), np.arange(6) % 2
recipe = RECIPES["classic"].with_options(epochs=1)
model = LeNet5(2, ops=get_ops("numpy"))
fit(model, recipe, (images, labels), (images, labels), Preprocessing(), threads=1)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_a_run_computes_each_score_of_its_test_once(tmp_path):
    calls = cProfile.Profile()
    options = ("--samples", "15", "--epochs", "1", "--threads", "1", "--backend", "numpy")
    calls.runcall(train, [*options, "--out", str(tmp_path / "run")])
    counts = {
        name: count
        for (file, _, name), (_, count, *_) in pstats.Stats(calls).stats.items()
        if Path(file).parts[-3:-1] == ("lenet_xp", "scores") and Path(file).stem != "summary"
    }
    once = ("confusion_matrix", "per_class", "macro_f1", "confused_pairs", "top_k_accuracy")
    once += ("rejection_curve", "apply_temperature", "fit_temperature")
    assert {name: counts[name] for name in once} == dict.fromkeys(once, 1)
    assert counts["reliability"] == 2  # before and after


def test_importing_commands_and_training_loads_no_slow_library():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout.split() and not SLOW & set(done.stdout.split())
