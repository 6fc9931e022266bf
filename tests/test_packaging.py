"""The installed files: every file that the package reads, and the command."""

import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "lenet_xp"


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
