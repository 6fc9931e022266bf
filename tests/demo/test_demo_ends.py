"""The demo ends at once and quietly, whenever it is told to."""

import asyncio
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
from contextlib import suppress

import pytest
from commandline import ROOT, finish, start
from demo_server import HOST, Client, ask, pgm, written

from lenet_xp.demo.server import Answer, Server


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_busy_command_ends_quietly(tmp_path, number, status):
    """Thirty clients ask without a pause while the signal comes."""
    process = start("demo", "--port", "0", "--no-browser", cwd=tmp_path)
    port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
    body, answered = pgm(written("yaz")), threading.Semaphore(0)

    def insist() -> None:
        with suppress(OSError), Client(port) as client:
            while True:
                client.send("POST /read", body)
                client.receive()
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


ROUNDS = int(os.environ.get("LENET_XP_CANCEL_ROUNDS", "25"))  # 1,500 are the long stress


def test_a_cancellation_at_any_moment_ends_the_server(capsys):
    """Also in the one turn of the loop in which what a connection waits for has just arrived."""
    rng = random.Random(0)

    async def insist(port: int) -> None:
        request = f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
        with suppress(OSError, asyncio.IncompleteReadError):
            stream, writer = await asyncio.open_connection(HOST, port)
            while True:
                writer.write(request)
                await stream.readuntil(b"fine")

    async def round_() -> bool:
        """Whether it hangs."""
        port = asyncio.get_running_loop().create_future()
        server = Server(lambda head, body: Answer(b"fine", "text/plain"))
        serving = asyncio.create_task(server.serve(0, port.set_result))
        clients = [asyncio.create_task(insist(await port)) for _ in range(20)]
        await asyncio.sleep(rng.uniform(0.02, 0.06))
        for _ in range(rng.randrange(5)):
            await asyncio.sleep(0)
        serving.cancel()
        for client in clients:
            client.cancel()
        await asyncio.wait({serving}, timeout=20)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:  # as asyncio.run does
            each.cancel()
        return bool(left and (await asyncio.wait(left, timeout=20))[1])

    hangs = sum(asyncio.run(round_()) for _ in range(ROUNDS))
    with capsys.disabled():
        print(f"{ROUNDS} rounds, {hangs} hangs" * (ROUNDS > 100))
    assert hangs == 0 and capsys.readouterr().err == ""


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
