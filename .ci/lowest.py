"""Print pip constraints that pin every requirement of pyproject.toml to its lowest version."""

import re
import sys
import tomllib
from pathlib import Path

EXTRAS = ("test",)  # what the suite needs

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<lowest>[0-9.]+)(; .*)?")


def constraints(project: dict) -> list[str]:
    """The lines of a constraints file; ValueError for a requirement without a lowest version."""
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    pins = {}
    for each in wanted:
        found = REQUIREMENT.fullmatch(each)
        if found is None:
            raise ValueError(f"pyproject.toml: {each!r} names no lowest version, as in 'name>=1.2'")
        pins[found["name"]] = found["lowest"]
    return [f"{name}=={lowest}" for name, lowest in sorted(pins.items())]


if __name__ == "__main__":
    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    sys.stdout.write("\n".join(constraints(tomllib.loads(text)["project"])) + "\n")
