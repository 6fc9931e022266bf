"""One hostile input: a command, its arguments and the files that it meets."""

import base64
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A command to be run in a folder of its own.

    change: what is hostile about it, in words. files: content by path within that folder, names
    as the system has them. out: where in the folder results may appear. apart: in a process of its
    own, as a user would start it.
    """

    door: str
    change: str
    command: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    out: str | None = None
    apart: bool = False

    def to_json(self) -> str:
        """The case as text, to be kept and repeated."""
        files = {name: base64.b64encode(data).decode() for name, data in self.files.items()}
        return json.dumps(asdict(self) | {"files": files}, indent=1)

    @staticmethod
    def from_json(text: str) -> "Case":
        """The case that `to_json` wrote down."""
        values = json.loads(text)
        values["files"] = {n: base64.b64decode(data) for n, data in values["files"].items()}
        return Case(**values | {"arguments": tuple(values["arguments"])})

    def lay(self, folder: Path) -> None:
        """Write its files into a folder."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
