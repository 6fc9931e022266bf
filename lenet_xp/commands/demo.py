"""Draw letters in the browser and see them read."""

import signal
import socket
import threading
import webbrowser
from contextlib import suppress
from functools import partial

from lenet_xp.commands.terminal import add_model_option, parser, whole_number
from lenet_xp.demo.reading import find_letters
from lenet_xp.demo.server import HOST, LOOPBACK, Server
from lenet_xp.demo.site import site_files
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.reader import Reader
from lenet_xp.system.streams import tell
from lenet_xp.training.checkpoints import Stopped

PORT = 8533
EXAMPLES = """\
  lenet-xp demo
      with the model that comes with the package
  lenet-xp demo --model runs/best/model.npz --port 0 --no-browser
      with one of your own, on any free port, for a browser opened by hand
  lenet-xp demo --host 0.0.0.0
      also for phones in the same network: each opens an address that is printed, once"""


def demo(arguments: list[str] | None = None) -> None:
    """Run the command; see --help. It ends with Ctrl-C or SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # or it would mean nothing to process 1
    about = "Open a page on this machine: draw a letter, or drop a photo, and see it read."
    p = parser("lenet-xp demo", about, EXAMPLES)
    add_model_option(p, positional=False)
    port, default = whole_number(0, 65_535), "(default: %(default)s)"
    p.add_argument("--port", type=port, default=PORT, help=f"0 takes any that is free {default}")
    p.add_argument("--host", default=HOST, help=f"an address of this machine {default}")
    p.add_argument("--no-browser", action="store_true", help="only print the page's address")
    options = p.parse_args(arguments)
    saved, host = load_model(options.model, get_ops("numpy")), options.host or "0.0.0.0"
    read, everywhere = partial(find_letters, reader=Reader(saved)), host in ("0.0.0.0", "::")

    def opened(rest: str) -> None:
        tell(f"the next phone opens http://{_way_out() if everywhere else shown}{rest}")

    shown = f"[{host}]" if ":" in host else host
    at, guests = (host, options.port), None if LOOPBACK.fullmatch(shown) else opened
    with Server(site_files(saved, photos=True), read, at, guests) as server:
        address = f"http://{HOST if everywhere else shown}:{server.server_address[1]}/"
        tell(f"reading letters at {address} until Ctrl-C")
        if not (options.no_browser or guests):
            # Some browsers keep whoever started them waiting.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server.serve_forever()


def _way_out() -> str:
    """The address by which others in the network reach this machine."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("192.0.2.1", 9))  # nothing is sent
        return str(way.getsockname()[0])
    return HOST  # without a network


def _stop(signum: int, frame: object = None) -> None:
    raise Stopped("stopped by SIGTERM", signum)
