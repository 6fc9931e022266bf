"""What gets installed: every file that the package reads, the command, one version number."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import lenet_xp

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "lenet_xp"
DEPENDENCIES = PROJECT["project"]["dependencies"]


def test_every_file_of_the_package_is_installed():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["lenet_xp"]
    installed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != ".DS_Store"
    }
    assert others == installed
    modules = {path.parent for path in PACKAGE.rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in modules)


def test_every_pattern_finds_something():
    for pattern in PROJECT["tool"]["setuptools"]["package-data"]["lenet_xp"]:
        assert list(PACKAGE.glob(pattern)), pattern


def test_the_command_starts_what_pyproject_says():
    module, _, function = PROJECT["project"]["scripts"]["lenet-xp"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_every_file_states_the_same_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PROJECT["project"]["version"] == lenet_xp.__version__
    assert f"\nversion: {lenet_xp.__version__}\n" in citation


def test_every_requirement_has_a_lowest_version():
    extras = PROJECT["project"]["optional-dependencies"].values()
    for each in (*DEPENDENCIES, *(each for extra in extras for each in extra)):
        wanted, _, marker = each.partition("; ")
        assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z]+\])?>=[0-9.]+", wanted), each
        assert marker in ("", "platform_system == 'Linux'")


def test_no_window_is_opened_so_the_headless_opencv_is_enough():
    calls = re.compile(r"cv2\.(imshow|namedWindow|waitKey|destroyAllWindows|createTrackbar)")
    for path in (*PACKAGE.rglob("*.py"), *(ROOT / "studies").rglob("*.py")):
        assert not calls.search(path.read_text(encoding="utf-8")), path
    assert any(each.startswith("opencv-python-headless") for each in DEPENDENCIES)


def test_no_table_of_single_images_is_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "predictions.csv" in ignored
    left_out = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()[-1].split()
    assert left_out[0] == "global-exclude" and "predictions.csv" in left_out
    assert list((ROOT / "results").rglob("predictions.csv")) == []
