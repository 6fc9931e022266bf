"""MkDocs hook: files outside docs/ that a page links to become part of the site.

Pages link to them as they lie in the repository (`../results/pages/page.png`), so that the same
links work in a clone. In the site, docs/ is the root, every other file keeps its path, and a link
to a folder leads to the record in it.
"""

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs/"
PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "results/report.md")
RECORDS = ("summary.json", "metrics.json", "scores.json")  # of a folder, the first that it has
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def target_of(source: str, link: str) -> str:
    """The file that a link leads to; both as paths from the repository's root."""
    target = normpath(f"{dirname(source)}/{link}")
    records = [f"{target}/{name}" for name in RECORDS if (ROOT / target / name).is_file()]
    return records[0] if records else target


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add PAGES, and whatever file they or the pages of docs/ link to."""
    sources = [DOCS + file.src_uri for file in files.documentation_pages()]
    wanted = dict.fromkeys(PAGES)
    for source in (*sources, *PAGES):
        for link in LINK.findall((ROOT / source).read_text(encoding="utf-8")):
            target = target_of(source, link)
            if not target.startswith((DOCS, "..")) and (ROOT / target).is_file():
                wanted[target] = None
    for target in wanted:
        files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to where the site has their targets."""
    here = page.file.src_uri
    source = here if here in PAGES else DOCS + here

    def moved(link: re.Match[str]) -> str:
        target = target_of(source, link[0]).removeprefix(DOCS)
        return relpath(target, dirname(here) or ".")

    return LINK.sub(moved, markdown)
