"""The demo ends at once and quietly, whenever it is told to."""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from commandline import ROOT, finish, start
from demo_server import HOST, ask, pgm, served, written

ROUNDS = int(os.environ.get("LENET_XP_CANCEL_ROUNDS", "10"))  # 1,500 are the long stress


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_busy_command_ends_quietly(tmp_path, number, status):
    """Thirty clients ask without a pause while the signal comes."""
    process = start("demo", "--port", "0", "--no-browser", cwd=tmp_path)
    port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
    body, answered = pgm(written("yaz")), threading.Semaphore(0)

    def insist() -> None:
        with suppress(OSError):
            while True:
                ask(port, "POST /read", body)
                answered.release()

    threads = [threading.Thread(target=insist, daemon=True) for _ in range(30)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        assert answered.acquire(timeout=60)
    process.send_signal(number)
    ended = finish(process)
    name = {130: "Ctrl-C", 143: "SIGTERM"}[status]
    assert (ended.status, ended.err) == (status, f"stopped by {name}\n")


def can_be_process_one() -> bool:
    asked = ["unshare", "--pid", "--fork", "true"]
    return shutil.which("unshare") is not None and not subprocess.run(asked).returncode


@pytest.mark.skipif(not can_be_process_one(), reason="needs the right to make a process 1")
def test_process_one_of_a_container_ends_with_sigterm(tmp_path):
    """Process 1 has no default actions, so that only a handler of its own ends it."""
    program = (
        "import os, signal, sys, threading\n"
        "from lenet_xp.commands import demo\n"
        "assert os.getpid() == 1\n"
        "tell = lambda line: threading.Timer(0.1, os.kill, (1, signal.SIGTERM)).start()\n"
        "demo.tell = tell\n"
        "from lenet_xp.commands.main import start\n"
        "sys.exit(start('demo', ['--port', '0', '--no-browser']))\n"
    )
    ran = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (143, "stopped by SIGTERM\n")


def test_a_server_ends_at_any_moment(capsys):
    """Also while connections come, wait, ask and leave."""
    rng = random.Random(0)
    for _ in range(ROUNDS):
        with served({"index.html": b"fine"}, lambda photo: {}) as port:
            clients = [threading.Thread(target=insist, args=(port,)) for _ in range(20)]
            for client in clients:
                client.start()
            time.sleep(rng.uniform(0.01, 0.05))
        for client in clients:
            client.join(20)
            assert not client.is_alive()
    assert capsys.readouterr().err == ""


def insist(port: int) -> None:
    """Ask for the page again and again until the server ends."""
    with suppress(OSError):
        while True:
            ask(port, "GET /")


@pytest.mark.parametrize("streams", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_demo_serves_whatever_streams_it_has(tmp_path, streams):
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "lenet_xp", "demo", "--port", str(port), "--no-browser"]
    line = f"exec {shlex.join(words)} {streams}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        ["bash", "-c", line], env=environment, cwd=tmp_path, stdout=subprocess.PIPE
    )
    try:
        answer = None
        while answer is None:
            assert process.poll() is None
            with suppress(OSError):
                answer = ask(port, "POST /read", pgm(written("yaz")))
        assert answer[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()
