"""Draw letters in the browser and see them read."""

import asyncio
import signal
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress

from lenet_xp.commands.terminal import add_model_option, parser, whole_number
from lenet_xp.demo.reading import PictureReader
from lenet_xp.demo.server import HOST, Server
from lenet_xp.demo.site import Site
from lenet_xp.model_file import load_model
from lenet_xp.ops import get_ops
from lenet_xp.system.streams import tell
from lenet_xp.training.checkpoints import Stopped

PORT = 8533
EXAMPLES = """\
  lenet-xp demo
      with the model that comes with the package
  lenet-xp demo --model runs/best/model.npz --port 0 --no-browser
      with one of your own, on any free port, for a browser opened by hand"""


def demo(arguments: list[str] | None = None) -> None:
    """Run the command; see --help. It ends with Ctrl-C or SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # or it would mean nothing to process 1
    about = "Open a page on this machine: draw a letter, or drop a photo of one, and see it read."
    p = parser("lenet-xp demo", about, EXAMPLES)
    add_model_option(p, positional=False)
    p.add_argument(
        "--port",
        type=whole_number(0, 65_535),
        default=PORT,
        metavar="N",
        help=f"where on {HOST}; 0 takes any that is free (default: {PORT})",
    )
    p.add_argument("--no-browser", action="store_true", help="only print the page's address")
    options = p.parse_args(arguments)
    saved = load_model(options.model, get_ops("numpy"))
    server = Server(Site(PictureReader(saved), saved.class_names))

    def started(port: int) -> None:
        address = f"http://{HOST}:{port}/"
        tell(f"reading letters at {address} until Ctrl-C")
        if not options.no_browser:
            # Some browsers keep whoever started them waiting.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    asyncio.run(_served(server, options.port, started))


async def _served(server: Server, port: int, started: Callable[[int], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; raises Stopped after the latter."""
    serving = asyncio.ensure_future(server.serve(port, started))
    stopped: list[int] = []

    def stop() -> None:
        stopped.append(signal.SIGTERM)
        serving.cancel()

    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        await serving
    except asyncio.CancelledError:
        if stopped:
            _stop(signal.SIGTERM)
        raise


def _stop(signum: int, frame: object = None) -> None:
    raise Stopped("stopped by SIGTERM", signum)
