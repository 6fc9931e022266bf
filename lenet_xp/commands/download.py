"""Fetch AMHCD from Kaggle: a data set that the project may read, but not pass on."""

from lenet_xp.commands.terminal import parser, print_json
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
        print_json({"folder": folder, "page": PAGE, "terms": TERMS})
    else:
        print(f"AMHCD is in {folder}\nnext: lenet-xp train --data amhcd --recipe best")
