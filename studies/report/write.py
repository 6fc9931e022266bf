"""The text of the report, from the sections in `sections/` and the records."""

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

from studies.report import scores, setting
from studies.report.facts import FACTS
from studies.report.formats import FORMATS
from studies.report.pictures import PICTURES
from studies.report.records import RECORDS, Records
from studies.report.template import fill, places

HEAD = "<!-- Made by studies/report from the records: change those, or the sections. -->"
DRAWN = "report/"  # folder, in sections, of the pictures that the report draws itself
TABLES: dict[str, Callable[[Records], str]] = {
    "accuracies": scores.accuracies,
    "calibration": scores.calibration,
    "few-writers": scores.few_writers,
    "folds": scores.folds,
    "averaged": scores.averaged,
    "letters": setting.letters,
    "network": setting.network,
    "pairs": scores.pairs,
    "reading-speed": partial(setting.speed, kind="inference"),
    "recipes": setting.recipes,
    "records": setting.record_list,
    "search": setting.search,
    "splits": setting.splits,
    "targets": scores.targets,
    "training-speed": partial(setting.speed, kind="training"),
    "unseen-pairs": scores.unseen_pairs,
    "ways": setting.ways,
}


class StaleReport(Exception):
    """Sections and records do not match, which is an error of the program and not of its user."""


def sections() -> dict[str, str]:
    """Return the text of each section by its file name, in order."""
    folder = files(__package__).joinpath("sections")
    found = sorted((each for each in folder.iterdir()), key=lambda each: each.name)
    return {each.name: each.read_text(encoding="utf-8") for each in found}


def render(records: Records, drawn: Path, texts: dict[str, str] | None = None) -> str:
    """Return the report in Markdown. The same records give the same text.

    drawn: the folder of the pictures that the report draws. texts: sections by name (default:
    those in `sections/`). Raises StaleReport for a place that names an unknown record, fact, table,
    picture or format, and for a fact, table, picture or format that no place names; InputError for
    a record that cannot be used.
    """
    texts = sections() if texts is None else texts
    check(texts)
    value = partial(_value, records, drawn)
    return "\n\n".join([HEAD, *(fill(text, value) for text in texts.values())]) + "\n"


def check(texts: dict[str, str]) -> None:
    """Raise StaleReport for a place that nothing fills, and for a fact that no place names."""
    known = {f"fact.{name}" for name in FACTS} | {f"table.{name}" for name in TABLES}
    known |= {f"picture.{DRAWN}{name}" for name in PICTURES}
    folders = {record.folder for record in RECORDS.values()}
    met, formats = set(), set()
    for section, text in texts.items():
        for place in places(text):
            kind, _, rest = place.partition(".")
            field, _, form = rest.rpartition(":")
            of_record = kind in RECORDS and field and form in FORMATS
            of_folder = kind == "picture" and rest.rpartition("/")[0] in folders
            if not (of_record or of_folder or place in known):
                raise StaleReport(f"section {section}: nothing can stand at @{{{place}}}")
            met.add(place)
            formats.add(form)
    idle = sorted(known - met) + [f"format {name}" for name in FORMATS if name not in formats]
    if idle:
        raise StaleReport(f"no section names {', '.join(idle)}")


def _value(records: Records, drawn: Path, place: str) -> str:
    """The text at "fact.x", "table.x", "picture.x" or "record.field:format"."""
    kind, _, rest = place.partition(".")
    if kind == "fact":
        return FACTS[rest](records)
    if kind == "table":
        return TABLES[rest](records)
    if kind == "picture" and rest.startswith(DRAWN):
        name = rest.removeprefix(DRAWN)
        PICTURES[name](records)  # Missing where it cannot be drawn
        return records.link(drawn / name)
    if kind == "picture":
        return records.picture(rest)
    field, _, form = rest.rpartition(":")
    return FORMATS[form](records.value(kind, field))
