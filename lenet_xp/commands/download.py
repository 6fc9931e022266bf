"""Fetch AMHCD from Kaggle: a data set that the project may read, but not pass on."""

import json

from lenet_xp.commands.terminal import parser
from lenet_xp.data.sources import PAGE, TERMS, download_amhcd
from lenet_xp.system.streams import say

EXAMPLES = """\
  pip install kagglehub && lenet-xp download
      into Kaggle's own cache folder; a second call finds it there"""


def download(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    p = parser("lenet-xp download", "Fetch AMHCD from Kaggle, with no account needed.", EXAMPLES)
    p.add_argument("--json", action="store_true", help="print folder, page and terms as JSON")
    options = p.parse_args(arguments)
    say(f"AMHCD from {PAGE}\n{TERMS}")
    folder = download_amhcd()
    if options.json:
        found = {"folder": str(folder), "page": PAGE, "terms": TERMS}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"AMHCD is in {folder}\nnext: lenet-xp train --data amhcd --recipe best")
