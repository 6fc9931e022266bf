"""Write the demo's page as files for any web host."""

from lenet_xp.commands.terminal import add_model_option, parser, path
from lenet_xp.demo.site import VERSION, WORKER, site_files
from lenet_xp.errors import InputError
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.files import atomic_write, make_folder
from lenet_xp.system.streams import tell

EXAMPLES = """\
  lenet-xp site site
      a folder to copy to a web host, with the model that comes with the package
  lenet-xp site site --model runs/best/model.npz
      with one of your own; python -m http.server --directory site shows it here"""


def site(arguments: list[str] | None = None) -> None:
    """Run the command; see --help."""
    about = "Write a page on which one draws letters and the browser itself reads them."
    p = parser("lenet-xp site", about, EXAMPLES)
    p.add_argument("out", type=path, metavar="OUT", help="folder: new, empty, or an earlier site")
    add_model_option(p, positional=False)
    options = p.parse_args(arguments)
    out, worker = options.out, options.out / WORKER
    ours = worker.is_file() and worker.read_bytes().startswith(VERSION)
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise InputError(f"{out}: holds other files; give a new folder")
    made = site_files(load_model(options.model, get_ops("numpy")), photos=False)
    for name, content in made.items():  # the worker last: it tells of the others
        with atomic_write(make_folder(out) / name) as file:
            file.write(content)
    size = sum(map(len, made.values()))
    tell(f"{out}: {size:,} bytes to copy to any host of static files")
