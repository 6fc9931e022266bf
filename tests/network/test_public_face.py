"""What `import lenet_xp` gives: every public name, quickly, with its types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lenet_xp
from lenet_xp import layers
from lenet_xp.classifier import LeNetClassifier
from lenet_xp.training.loop import fit

ROOT = Path(lenet_xp.__file__).parent.parent
CLIENT = Path(__file__).with_name("typed_client.py")
SLOW = {"sklearn", "scipy", "matplotlib"}


def imported(code: str, names: set[str]) -> set[str]:
    """Which modules of some names another interpreter has imported at the end of `code`."""
    code = f"{code}\nimport sys\nprint(*({names!r} & sys.modules.keys()))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_is_light():
    assert imported("import lenet_xp; lenet_xp.__version__", {*SLOW, "cv2", "numpy"}) == set()


def test_reading_a_letter_imports_nothing_slow():
    code = "import lenet_xp; assert lenet_xp.load_model().read('docs/letter.png').name == 'yaz'"
    assert imported(code, SLOW) == set()


def test_every_public_name_is_there_and_no_other():
    for name in lenet_xp.__all__:
        assert name in dir(lenet_xp) and getattr(lenet_xp, name) is not None
    own = {name for name, each in vars(layers).items() if isinstance(each, type)}
    concrete = {name for name in own if hasattr(getattr(layers, name), "kind") and name[0] != "_"}
    assert concrete - {"Activation"} <= set(lenet_xp.__all__)
    assert lenet_xp.LeNetClassifier is LeNetClassifier and lenet_xp.fit is fit
    with pytest.raises(AttributeError, match="no attribute 'LeNet6'"):
        _ = lenet_xp.LeNet6


def test_a_typed_client_passes_mypy(tmp_path):
    """Without this project's own settings, as another project checks it."""
    pytest.importorskip("mypy")
    words = ["--strict", "--config-file=", "--follow-imports=silent", "--cache-dir", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, words), str(CLIENT)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Success" in done.stdout
