"""The library is a guest: it changes nothing that its host's threads share, and never waits for it.

Most tests run a program of a host in a process of its own: what is shared is the whole process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lenet_xp.system import own_process
from lenet_xp.system.processes import can_start

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds: a program that hangs never ends
linux = pytest.mark.skipif(not can_start(), reason="needs worker processes")

# What every host below has: letters, a fit, and a digest of what it learned.
PRELUDE = """
import hashlib, io, logging, os, signal, sys, threading, time, warnings
import numpy as np
import lenet_xp
from lenet_xp import LeNet5, LeNetClassifier, fit
from lenet_xp.letters.synthetic import generate
from lenet_xp.ops import get_ops
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.training.recipes import CLASSIC

pictures, labels = generate(10, seed=0)
images = np.ascontiguousarray(pictures[:, 16:48, 16:48])

def digest(values):
    return hashlib.sha256(values.tobytes()).hexdigest()

def trained(threads=2, **options):
    model = LeNet5(ops=get_ops("numpy"))
    recipe = CLASSIC.with_options(epochs=1, batch_size=36)  # whose products are cut by thread
    part = images, labels
    fit(model, recipe, part, part, Preprocessing(), threads=threads, **options)
    return digest(model.values)

def classified(threads=2):
    return digest(LeNetClassifier("classic", epochs=1, batch_size=36, random_state=0,
                                  threads=threads, backend="numpy").fit(images, labels).values_)

def in_thread(work):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]
"""


def host(program, *arguments, **options):
    """Run a program after PRELUDE; it must end by itself, and well."""
    # Two threads for the matrix library, as on any machine with more than one core
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, *arguments, "-c", PRELUDE + program],
        env=environment | options.pop("env", {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done


@linux
def test_a_fit_ends_beside_a_thread_that_multiplies():
    """A fork there may wait in the matrix library for ever."""
    host("""
expected = trained(), classified()
stop = threading.Event()

def multiply():
    a = np.ones((200, 200))
    while not stop.is_set():
        a @ a
        time.sleep(0.01)

thread = threading.Thread(target=multiply)
thread.start()
for _ in range(5):
    assert (trained(), classified()) == expected
reader = lenet_xp.load_model()
many = np.tile(images, (13, 1, 1))
rows = digest(reader.saved.probabilities(many, threads=2))
for _ in range(5):
    assert digest(reader.saved.probabilities(many, threads=2)) == rows
stop.set()
thread.join()
""")


@linux
@pytest.mark.parametrize("blas", ("1", "2"))
def test_a_fit_gives_the_same_bits_in_every_thread(blas):
    host(
        """
for threads in (1, 2):
    for work in (trained, classified):
        expected = work(threads)
        assert in_thread(lambda: work(threads)) == expected
        both = [threading.Thread(target=lambda: answers.append(work(threads))) for _ in range(2)]
        answers = []
        [each.start() for each in both]
        [each.join() for each in both]
        assert answers == [expected] * 2
print(trained(1))
""",
        env={"OPENBLAS_NUM_THREADS": blas},
    )


@linux
def test_bits_do_not_depend_on_the_threads_of_the_matrix_library():
    texts = {
        host("print(trained(1), classified(2))", env={"OPENBLAS_NUM_THREADS": blas}).stdout
        for blas in ("1", "2")
    }
    assert len(texts) == 1


@linux
def test_joblib_fits_alike_in_threads_and_processes():
    host("""
from joblib import Parallel, delayed
def one(seed):
    model = LeNetClassifier("classic", epochs=1, batch_size=36, random_state=seed, threads=1,
                            backend="numpy")
    return digest(model.fit(images, labels).values_)
expected = [one(seed) for seed in range(3)]
for backend in ("threading", "loky"):
    assert Parallel(2, backend)(delayed(one)(seed) for seed in range(3)) == expected, backend
""")


@linux
def test_a_fit_in_a_child_of_the_host():
    """A daemonic process may have no children of multiprocessing's; a fork has lost all threads."""
    host("""
import multiprocessing
context = multiprocessing.get_context("fork")
expected = trained()  # starts the parent's server, which a child must leave alone
for daemon in (True, False):
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(trained()), daemon=daemon)
    child.start()
    assert answers.get() == expected
    child.join()
    assert child.exitcode == 0
pid = os.fork()
if pid == 0:
    os._exit(0 if trained() == expected else 1)
assert os.waitpid(pid, 0)[1] == 0
assert trained() == expected
""")


SHARED = """
from threadpoolctl import threadpool_info

def shared():
    return {
        "filters": list(warnings.filters),
        "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "environment": dict(os.environ),
        "handlers": {n: list(logging.getLogger(n).handlers) for n in ("", "PIL", "matplotlib")},
        "levels": {n: logging.getLogger(n).level for n in ("", "PIL", "matplotlib")},
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "error": os.fstat(2),
        "buffer": np.getbufsize(),
        "affinity": os.sched_getaffinity(0),
        "threads": {each["filepath"]: each["num_threads"] for each in threadpool_info()},
        "drawn": np.random.get_state()[1].tolist(),
    }
"""


@linux
def test_a_host_finds_all_as_it_was():
    """While the library works as well as after it; a clone of the process is never made."""
    host(
        SHARED
        + """
import cv2
from PIL import Image
from lenet_xp.pictures.image_file import ImageFile
def state():
    return shared() | {"opencv": cv2.getNumThreads()}
clones = []
os.register_at_fork(before=lambda: clones.append("a clone"))
buffer = io.BytesIO()
Image.fromarray(pictures[0]).save(buffer, "jpeg")
lenet_xp.load_model().read(pictures[0])
handling = np.geterr()
before = state()
def unchanged(*arguments):
    now = state()
    assert now == before, [(n, before[n], now[n]) for n in now if now[n] != before[n]]
unchanged()
trained(on_epoch=unchanged, on_progress=unchanged)
reader = lenet_xp.load_model()
reader.read(pictures[0])
reader.read_many(list(pictures[:50]))
reader.saved.probabilities(np.tile(images, (13, 1, 1)))
ImageFile(buffer.getvalue(), "letter.jpg").page()
generate(3, seed=0)
unchanged()
assert np.geterr() == handling and not clones
"""
    )


def test_importing_changes_nothing():
    program = """
import lenet_xp.classifier, lenet_xp.reader, lenet_xp.plots, lenet_xp.export, lenet_xp.pages.page
import lenet_xp.training.run, lenet_xp.letters.photographs
import cv2
"""
    state = SHARED.replace('"threads"', '"_"').replace('"filters"', '"_filters"')
    source = f"""
import io, logging, os, signal, sys, warnings
import cv2, numpy as np, PIL.Image, sklearn.base, matplotlib
{state}
before = shared()
ours = [each for each in warnings.filters if "PIL" in str(each)]
{program}
after = shared()
del before["_filters"], after["_filters"], before["_"], after["_"]
assert after == before, [(n, before[n], after[n]) for n in after if after[n] != before[n]]
assert [each for each in warnings.filters if "PIL" in str(each)] == ours
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_every_line_of_a_log_arrives_while_pictures_are_decoded(tmp_path):
    """Also those of children, and those of handlers that are made meanwhile."""
    done = host(
        """
import subprocess
from PIL import Image
folder = sys.argv[1] if len(sys.argv) > 1 else "."
Image.fromarray(np.tile(pictures[0], (8, 8))).save("letter.png")
Image.fromarray(np.tile(pictures[0], (8, 8))).save("letter.jpg", quality=95)
reader, over = lenet_xp.load_model(), threading.Event()
def read():
    while not over.is_set():
        reader.read_many(["letter.png", "letter.jpg"] * 20)
thread = threading.Thread(target=read)
thread.start()
for number in range(400):
    log = logging.getLogger(f"log{number % 7}")
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    log.warning("line %d", number)
    time.sleep(0.001)
for number in range(10):
    subprocess.run([sys.executable, "-Sc", f"import os; os.write(2, b'child {number}\\\\n')"])
over.set()
thread.join()
logging.getLogger("log0").warning("last")
""",
        cwd=tmp_path,
    )
    lines = done.stderr.splitlines()
    assert [each for each in lines if "line" in each] == [f"line {n}" for n in range(400)]
    assert sum("child" in each for each in lines) == 10 and lines[-1] == "last"


@linux
def test_nothing_outlives_a_host_that_is_killed(tmp_path):
    """Nor a host whose child keeps a copy of its end of every socket."""
    program = (
        PRELUDE
        + """
from lenet_xp.system.processes import _server
def stop(progress):
    server = _server(os.getpid())
    if os.fork() == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    children = os.popen(f"pgrep -P {server._process.pid}").read().split()
    print(server._process.pid, *children, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
trained(on_progress=stop)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
    )
    assert done.returncode == -9
    pids = [int(each) for each in done.stdout.split()]
    assert len(pids) == 3  # the server and two workers
    for pid in pids:
        _wait_for_end(pid)


def _wait_for_end(pid):
    import time

    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(f"{pid} still runs")


@linux
def test_a_host_ends_at_once_though_its_child_lives():
    """A child has a copy of the host's end of the server's socket."""
    host("""
from lenet_xp.system import processes
processes.END_TIME = 600  # seconds: the server is waited for
trained()
child = os.fork()
if child == 0:
    time.sleep(600)
    os._exit(0)
import atexit
atexit._run_exitfuncs()
os.kill(child, signal.SIGKILL)
""")


@linux
def test_paths_of_imports_that_are_no_text_are_left_to_python():
    host("""
from pathlib import Path
sys.path.append(Path("/nowhere"))
assert trained() == in_thread(trained)
""")


@linux
def test_layers_that_another_process_cannot_have_are_trained_in_threads():
    host("""
from lenet_xp.layers import Tanh
class OfTheHost(Tanh):
    pass
model = LeNet5(ops=get_ops("numpy"))
twin = LeNet5(ops=get_ops("numpy"))
twin.layers[1].__class__ = OfTheHost
recipe = CLASSIC.with_options(epochs=1)
for each in (model, twin):
    fit(each, recipe, (images, labels), (images, labels), Preprocessing(), threads=2)
np.testing.assert_allclose(twin.values, model.values, atol=1e-5)
""")


@linux
def test_a_program_without_a_guarded_main_may_fit(tmp_path):
    """Multiprocessing would run the host's script once more in every worker."""
    script = tmp_path / "a script.py"
    script.write_text(PRELUDE + "print('once', trained()[:8])\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.count("once") == 1 and done.stderr == ""


# Cores of a container


@pytest.mark.parametrize(
    ("quota", "cores"),
    (
        ("150000 100000", 2),
        ("max 100000", 8),
        ("50000 100000", 1),
        ("900000 100000", 8),
        ("nonsense", 8),
        ("400000 1e5", 8),
        ("100000 0", 8),
    ),
)
def test_a_container_s_quota_is_seen(quota, cores, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(own_process, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert own_process.usable_cores() == cores


def test_a_machine_without_control_groups_has_all_its_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(own_process, "_QUOTA", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 6}, raising=False)
    assert own_process.usable_cores() == 3


@linux
def test_a_command_in_a_child_of_a_host_that_has_read_photographs(tmp_path):
    """OpenCV's threads stay behind in the parent, and whoever sets their number waits for them."""
    host(
        """
import multiprocessing
import cv2
from lenet_xp.commands.predict import predict
from lenet_xp.commands.terminal import run
cv2.setNumThreads(2)
for number in range(3):
    cv2.imwrite(f"{number}.png", np.kron(pictures[number], np.ones((30, 30), np.uint8)))
lenet_xp.load_model().read("0.png")
context = multiprocessing.get_context("fork")
child = context.Process(target=lambda: sys.exit(run(predict, ["0.png", "1.png", "2.png"])))
child.start()
child.join()
assert child.exitcode == 0
""",
        cwd=tmp_path,
    )


@linux
def test_a_host_with_thousands_of_open_files():
    host("""
import resource
expected = trained()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
kept = [open(os.devnull) for _ in range(1500)]
from lenet_xp.system.processes import _server
for _ in range(2):
    assert trained() == expected
    server = _server(os.getpid())
    server.end()  # the next one has a high descriptor, too
from lenet_xp.system import processes
assert server._process is None and kept[-1].fileno() > 1023
""")
