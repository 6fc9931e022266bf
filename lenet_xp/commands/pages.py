"""Pages read by `predict --page`: text on the screen, pictures and JSON in a folder."""

import json
from collections import Counter
from pathlib import Path

from lenet_xp.data.image_file import read_image
from lenet_xp.data.loading import complaint
from lenet_xp.data.preprocess import grey_levels
from lenet_xp.errors import InputError
from lenet_xp.files import make_folder, write_json
from lenet_xp.model_file import SavedModel
from lenet_xp.pages.reading import read_page
from lenet_xp.pages.report import as_dict, as_text, draw
from lenet_xp.shown import shown
from lenet_xp.system.progress import progress_bar


def read_pages(
    files: list[Path], saved: SavedModel, out: Path | None, as_json: bool, top: int, skip_bad: bool
) -> list[tuple[Path, str]]:
    """Read each file as a page, print what it says, and list those that could not be read.

    out: a folder for NAME.page.png, with a box around every letter, and NAME.page.json. Of two
    files of one name the second's are NAME-2.page.png and so on.
    """
    skipped, records = [], []
    with progress_bar(len(files), "pages", shown=len(files) > 10) as advance:
        for file, name in zip(files, _names(files), strict=True):
            try:
                picture = grey_levels(read_image(file))
            except InputError as error:
                if not skip_bad:
                    if len(files) > 1:
                        raise InputError(complaint({0: str(error)})) from error
                    raise
                skipped.append((file, str(error).removeprefix(f"{file}: ")))
                continue
            found = read_page(picture, saved)
            record = {"file": str(file), **as_dict(found, saved.class_names, top)}
            if out is not None:
                folder = make_folder(out)
                draw(picture, found, saved.class_names, folder / f"{name}.page.png")
                write_json(folder / f"{name}.page.json", record)
            if as_json:
                records.append(record)
            else:
                print(shown(f"{file}: {len(found)} letter{'s' * (len(found) != 1)}"))
                for script in ("glyph", "latin") if found else ():
                    print(as_text(found, saved.class_names, script))
            advance(1)
    if as_json and records:
        print(json.dumps(records, indent=2, ensure_ascii=False))
    return skipped


def _names(files: list[Path]) -> list[str]:
    """A name for what is written of each file: its own, numbered from its second bearer on."""
    names: dict[str, None] = {}
    bearers: Counter[str] = Counter()
    for file in files:
        name = file.stem
        bearers[name] += 1
        while name in names:
            name = f"{file.stem}-{bearers[file.stem]}"
            bearers[file.stem] += name in names
        names[name] = None
    return list(names)
