"""Draw letters in the browser and see them read."""

import signal
import socket
import threading
import webbrowser

from lenet_xp.commands.terminal import add_model_option, parser, whole_number
from lenet_xp.demo.reading import PhotoReader
from lenet_xp.demo.server import HOST, Server
from lenet_xp.demo.site import site_files
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.streams import tell
from lenet_xp.training.checkpoints import Stopped

PORT = 8533
EVERYWHERE = {"0.0.0.0", "::"}
EXAMPLES = """\
  lenet-xp demo
      with the model that comes with the package
  lenet-xp demo --model runs/best/model.npz --port 0 --no-browser
      with one of your own, on any free port, for a browser opened by hand
  lenet-xp demo --host 0.0.0.0
      for a phone in the same network: it opens the address that is printed, once"""


def demo(arguments: list[str] | None = None) -> None:
    """Run the command; see --help. It ends with Ctrl-C or SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # or it would mean nothing to process 1
    about = "Open a page on this machine: draw a letter, or drop a photo, and see it read."
    p = parser("lenet-xp demo", about, EXAMPLES)
    add_model_option(p, positional=False)
    port = {"type": whole_number(0, 65_535), "default": PORT, "metavar": "N"}
    p.add_argument("--port", **port, help=f"0 takes any that is free (default: {PORT})")
    about_host = "address of this machine where others may ask, too, each by an address of its own"
    p.add_argument("--host", default=HOST, help=f"{about_host} (default: {HOST}, for it alone)")
    p.add_argument("--no-browser", action="store_true", help="only print the page's address")
    options = p.parse_args(arguments)
    saved, host = load_model(options.model, get_ops("numpy")), options.host

    def opened(token: str) -> None:
        tell(f"the next phone opens {_address(host, server)}?token={token}")

    remote = opened if host != HOST else None
    server = Server(site_files(saved, True), PhotoReader(saved), host, options.port, remote)
    with server:
        tell(f"reading letters at {_address(HOST, server)} until Ctrl-C")
        server.invite()
        if not (options.no_browser or remote):
            # Some browsers keep whoever started them waiting.
            address = (_address(host, server),)
            threading.Thread(target=webbrowser.open, args=address, daemon=True).start()
        server.serve_forever()


def _address(host: str, server: Server) -> str:
    """The page's address at a host; where it is every one of this machine's, at the way out."""
    if host in EVERYWHERE:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(("192.0.2.1", 9))  # nothing is sent
            host = way.getsockname()[0]
    return f"http://{f'[{host}]' if ':' in host else host}:{server.server_address[1]}/"


def _stop(signum: int, frame: object = None) -> None:
    raise Stopped("stopped by SIGTERM", signum)
