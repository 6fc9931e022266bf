"""The house: each room stands on a floor, and imports go down only.

The one table below names every room, from the top floor to the ground. A room is a folder or a
module at the root of lenet_xp, or a folder beside it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (
    {"studies": "experiments", "scripts": "starters for a clone"},
    {"__main__": "python -m lenet_xp"},
    {"commands": "command line"},
    {"__init__": "public face"},
    {"demo": "drawing page", "classifier": "scikit-learn estimator"},
    {"reader": "pictures in, letters out"},
    {"plots": "pictures", "pages": "text lines", "training": "training", "export": "ONNX files"},
    {"model_file": "saved model"},
    {
        "inference": "probabilities",
        "architecture": "networks as data",
        "gradient_check": "finite differences",
        "curvature": "second derivatives",
    },
    {"scores": "scores", "data": "data sets", "model": "LeNet-5"},
    {"letters": "alphabet", "fused": "fused layers"},
    {"pictures": "preprocessing", "losses": "loss", "optim": "optimisers", "layers": "layers"},
    {"outputs": "codes and rubbish"},
    {"layer": "what every layer has"},
    {"system": "operating system", "ops": "array operations"},
    {"errors": "exceptions", "schedules": "learning rates"},
)
TOPS = ("lenet_xp", "studies", "scripts")
HEIGHT = {room: -number for number, floor in enumerate(FLOORS) for room in floor}
SLOW = {"cv2", "matplotlib", "scipy", "sklearn"}


def room(module: str) -> str:
    """The room of a dotted name: "lenet_xp.ops.select" is in "ops", "lenet_xp" is "__init__"."""
    top, *inner = module.split(".")
    if top != "lenet_xp":
        return top
    return inner[0] if inner and inner[0] in HEIGHT else "__init__"


def imported(source: str) -> Iterator[str]:
    """Every module of ours that a source imports, in functions and for type checkers too."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides its room"
            names = [f"{node.module}.{each.name}" for each in node.names]
        for name in names:
            if name.partition(".")[0] in TOPS and name != "lenet_xp.__version__":
                yield name


def refused(module: str, source: str) -> list[str]:
    """What a module imports from a room that is not below its own."""
    own = room(module)
    return [
        f"{module} imports {name}"
        for name in imported(source)
        if room(name) != own and HEIGHT[room(name)] >= HEIGHT[own]
    ]


def modules(folder: str) -> Iterator[tuple[str, str]]:
    """Dotted name and source of every module under a folder of the tree."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", TOPS)
def test_no_import_goes_up_or_to_a_neighbour(folder):
    assert [each for module in modules(folder) for each in refused(*module)] == []


@pytest.mark.parametrize(
    ("module", "source", "refusals"),
    (
        ("lenet_xp.ops.select", "def f():\n    from lenet_xp.layers import Conv2D", 1),
        ("lenet_xp.data.cache", "if TYPE_CHECKING:\n    import lenet_xp.scores.metrics", 1),
        ("lenet_xp.plots.network", "from studies.plots import effects", 1),
        ("lenet_xp.scores.tables", "from lenet_xp import LeNet5", 1),
        ("lenet_xp.plots.network", "from lenet_xp import __version__, plots, scores", 0),
        ("studies.report.card", "import studies.aggregate, lenet_xp.commands.main, numpy", 0),
    ),
)
def test_imports_that_are_refused_and_allowed(module, source, refusals):
    assert len(refused(module, source)) == refusals


def test_every_room_is_in_the_table():
    root = ROOT / "lenet_xp"
    rooms = {path.stem for path in root.glob("*.py")}
    rooms |= {path.parent.name for path in root.glob("*/__init__.py")}
    assert rooms <= HEIGHT.keys()
    assert HEIGHT.keys() - rooms <= {"studies", "scripts", "reader"}


def test_importing_the_package_loads_no_slow_library():
    code = "import sys, lenet_xp; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "lenet_xp" in done.stdout.split() and not SLOW & set(done.stdout.split())
