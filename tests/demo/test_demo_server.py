"""The demo's server over real sockets: what it gives, what it refuses, what it survives."""

import json
import random
import re
import signal
import socket
import threading
import time
from base64 import b64decode
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from commandline import finish, png, start
from demo_server import HOST, Client, ask, pgm, reason, served, written

from lenet_xp.demo.reading import find_letters
from lenet_xp.demo.site import site_files
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.reader import Reader

NAMES = ("yaz", "yat", "yab", "yan", "yam", "yas", "yi", "yu")


@pytest.fixture(scope="module")
def saved():
    return load_model(SHIPPED, get_ops("numpy"))


@pytest.fixture(scope="module")
def site(saved):
    return site_files(saved, photos=True), partial(find_letters, reader=Reader(saved))


@pytest.fixture(scope="module")
def port(site):
    with served(*site) as port:
        yield port


def test_a_photo_of_a_letter_is_found_as_python_finds_it(port, saved):
    for name in NAMES:
        picture = written(name)
        status, headers, body = ask(port, "POST /read", pgm(picture))
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert b64decode(json.loads(body)["seen"]) == saved.preprocessing.apply(picture).tobytes()


def test_a_photo_of_several_letters_is_read_as_a_page(port):
    lines = [np.hstack([written(name) for name in names]) for names in (NAMES[:4], NAMES[4:])]
    answer = json.loads(ask(port, "POST /read", pgm(np.vstack(lines)))[2])
    assert (answer["width"], answer["height"]) == (4 * 256, 2 * 256)
    found = answer["page"]["letters"]
    assert [each["readings"][0]["name"] for each in found] == list(NAMES)
    for number, each in enumerate(found):
        box = each["box"]
        assert number % 4 * 256 < box["left"] < box["left"] + box["width"] < (number % 4 + 1) * 256


def test_blank_paper_shows_no_letter(port):
    answer = json.loads(ask(port, "POST /read", pgm(np.full((64, 64), 255, np.uint8)))[2])
    assert not any(b64decode(answer["seen"]))


def test_every_file_is_served_with_every_guard(port, site):
    kinds = {
        "html": "text/html",
        "css": "text/css",
        "js": ("text/javascript", "application/javascript"),
        "svg": "image/svg",
    }
    for name in ["", *site[0]]:
        status, headers, body = ask(port, f"GET /{name}")
        assert (status, body) == (200, site[0][name or "index.html"])
        assert headers["content-type"].startswith(kinds.get(name.rpartition(".")[2], ""))
        policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert ask(port, f"HEAD /{name}")[1]["content-length"] == str(len(body))
    refused = ask(port, "GET /nothing")[1]
    assert refused["content-security-policy"] and refused["x-content-type-options"]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../pyproject.toml", "/%2e%2e/site.py", "//etc/passwd", "/page.css/", "/page",
     "/./page.css", "/page.css%00.js", "/PAGE.CSS", "/..%5csite.py", "/" + "a/" * 4000],
)  # fmt: skip
def test_paths_lead_to_the_page_alone(port, path):
    status, _, body = ask(port, f"GET {path}")
    assert status == 404 and len(body) < 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_refused(port, method):
    for path in ("/", "/read", "/model.json"):
        assert ask(port, f"{method} {path}")[0] == 501


def test_each_path_has_its_method(port):
    assert ask(port, "GET /read")[0] == ask(port, "POST /page.css", b"x")[0] == 404


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:{}", "127.0.0.1.evil.example", "localhost.x",
             "127.0.0.1@evil.example", "[::2]:{}", "10.0.0.1:{}", "localhost:{}:1", "١٢٧.0.0.1"]
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_is_refused(port, host):
    host = host and host.format(port).encode().decode("latin-1")
    assert ask(port, "GET /", Host=host)[0] == 421
    assert ask(port, "POST /read", pgm(written("yaz")), Host=host)[0] == 421


@pytest.mark.parametrize(
    "host", ["LOCALHOST:{}", "localhost", "127.0.0.1:9000", "127.1.2.3", "[::1]:80", "a.localhost"]
)
def test_any_name_and_port_of_this_machine_will_do(port, host):
    """Also those of a tunnel, such as ssh -L 9000:127.0.0.1:8533."""
    host = host.format(port)
    own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
    assert ask(port, "GET /", Host=host)[0] == 200
    assert ask(port, "POST /read", pgm(written("yaz")), **own)[0] == 200


def test_pages_of_other_sites_cannot_ask(port):
    body = pgm(written("yaz"))
    foreign = ("null", "http://evil.example", f"https://{HOST}:{port}", f"http://{HOST}:1", "")
    for origin in foreign:
        assert ask(port, "POST /read", body, Origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site", "none"):
        assert ask(port, "POST /read", body, Sec_Fetch_Site=site)[0] == 403, site
    own = {"Origin": f"http://{HOST}:{port}", "Sec_Fetch_Site": "same-origin"}
    assert ask(port, "POST /read", body, **own)[0] == 200


def test_a_token_in_the_address_admits_one_client(site):
    """Whoever comes under another name than this machine's own is from elsewhere."""
    tokens = []

    def opened(address):
        tokens.append(address.partition("?token=")[2])

    with served(*site, opened=opened) as port:
        host = {"Host": f"10.0.0.5:{port}"}
        assert tokens and ask(port, "GET /", **host)[0] == 421
        for wrong in ("", "?token=", "?token=x", f"?token={tokens[0]}x"):
            assert ask(port, f"GET /{wrong}", **host)[0] == 421
        assert ask(port, f"HEAD /?token={tokens[0]}", **host)[0] == 421  # a preview of a link
        status, headers, _ = ask(port, f"GET /?token={tokens[0]}", **host)
        assert (status, headers["location"]) == (303, "/")
        assert {"HttpOnly", "SameSite=Lax"} <= set(headers["set-cookie"].split("; "))
        assert len(tokens) == 2 and tokens[0] != tokens[1]  # for the next
        assert ask(port, f"GET /?token={tokens[0]}", **host)[0] == 421
        cookie = {"Cookie": "a=b; " + headers["set-cookie"].split(";")[0], **host}
        assert ask(port, "GET /", **cookie)[0] == 200
        body, origin = pgm(written("yaz")), {"Origin": f"http://{host['Host']}"}
        assert ask(port, "POST /read", body, **cookie, **origin)[0] == 200
        assert ask(port, "POST /read", body, **cookie, Origin="http://evil.example")[0] == 403
        for wrong in ("lenet_xp=", "lenet_xp=x", f"lenet_xp={tokens[1]}"):
            assert ask(port, "GET /", **host, Cookie=wrong)[0] == 421


def test_bad_pictures_are_refused_in_one_line(port):
    whole = pgm(written("yaz"))
    cases = [b"GIF89a", whole[:-1000], random.Random(0).randbytes(5000), png(3, 3), b"P5 9 9 255\n"]
    for body in [*cases, png(9000, 9000)]:
        answer = ask(port, "POST /read", body)
        assert answer[0] == 422 and reason(answer).startswith("the picture: ")
    assert "50 megapixels" in reason(answer)
    assert ask(port, "POST /read", Content_Length="0")[0] == 422
    assert ask(port, "POST /read", whole)[0] == 200


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"hello\r\n\r\n"),
        (421, b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
        (421, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        (421, b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n"),
        (400, b"POST /read HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        (400, "POST /read HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode("latin-1")),
        (400, b"POST /read HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        (400, b"POST /read HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n"),
        (414, b"G" * 200_000),
    ],
)
def test_what_is_no_request_gets_its_status(port, status, request_):
    with Client(port) as client:
        client.socket.sendall(request_)
        answer = client.receive()
        assert answer[0] == status and reason(answer)
        assert client.socket.recv(100) == b""
    assert ask(port, "GET /icon.svg")[0] == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(site):
    with served(*site, body=2**20) as port:
        answer = ask(port, "POST /read", Content_Length=str(2**20 + 1))
        assert answer[0] == 413 and "1 MB" in reason(answer)
        assert ask(port, "POST /read", bytes(2**24))[0] == 413  # and it can be read why
        assert ask(port, "POST /read", bytes(2**20))[0] == 422


def test_garbage_ends_no_server(port):
    rng = random.Random(1)
    starts = (b"", b"GET / HTTP/1.1\r\n", b"POST /read HTTP/1.1\r\nContent-Length: 9\r\n")
    for number in range(60):
        with Client(port) as client:
            client.socket.sendall(starts[number % 3] + rng.randbytes(rng.randrange(1, 3000)))
            if number % 2:
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(2**16):
                    pass
    assert ask(port, "GET /")[0] == 200


def test_a_connection_is_for_one_request(port):
    with Client(port) as client:
        client.send("POST /read", pgm(written("yat")))
        client.send("GET /icon.svg")
        assert len(b64decode(json.loads(client.receive()[2])["seen"])) == 32 * 32
        with pytest.raises(ConnectionError):
            client.receive()


def test_fifty_clients_at_once_are_all_answered_right(port, saved):
    together, found = threading.Barrier(50), {}
    bodies = {name: pgm(written(name)) for name in NAMES}
    expected = {name: saved.preprocessing.apply(written(name)).tobytes() for name in NAMES}

    def read(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        together.wait(20)
        for _ in range(2):
            seen = b64decode(json.loads(ask(port, "POST /read", bodies[name])[2])["seen"])
            found.setdefault(number, []).append(seen == expected[name])

    threads = [threading.Thread(target=read, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 50 and all(right == [True] * 2 for right in found.values())


def test_one_connection_too_many_is_closed_and_room_returns(site):
    with served(*site, connections=3) as port:
        clients = [Client(port) for _ in range(3)]
        with Client(port) as late, pytest.raises(ConnectionError):
            late.receive()
        clients.pop().socket.close()
        deadline = time.monotonic() + 20
        while ask_if_possible(port) != 200:
            assert time.monotonic() < deadline
        for client in clients:
            client.send("GET /icon.svg")
            assert client.receive()[0] == 200
            client.socket.close()


def ask_if_possible(port: int) -> int:
    try:
        return ask(port, "GET /icon.svg")[0]
    except ConnectionError:
        return 0


@pytest.mark.parametrize(
    "head", ["GET / HTTP/1.1\r\nHost:", "POST /read HTTP/1.1\r\n{}Content-Length: 99\r\n\r\n"]
)
def test_who_sends_by_drops_is_cut_off_and_keeps_nobody_waiting(site, head):
    with served(*site, patience=0.4) as port:
        slow = Client(port)
        slow.socket.sendall(head.format(f"Host: {HOST}:{port}\r\n").encode())
        cut = threading.Event()

        def drip() -> None:
            try:
                while True:
                    slow.socket.sendall(b"x")
                    time.sleep(0.05)
            except OSError:
                cut.set()

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        assert ask(port, "GET /icon.svg")[0] == 200
        with suppress(ConnectionError):
            assert slow.receive()[0] in (400, 408, 421)  # what had arrived of it is no request
        assert cut.wait(20)
        slow.socket.close()


def test_who_asks_nothing_is_let_go(site):
    with served(*site, patience=0.2) as port, Client(port) as client:
        assert client.socket.recv(10) == b""


def test_who_takes_no_answer_is_cut_off(site):
    with served(*site, patience=0.4) as port:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect((HOST, port))
        request = f"GET /model.bin HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
        with pytest.raises(ConnectionError), client:  # reset, not closed in peace
            while True:
                client.sendall(request * 1000)
        assert ask(port, "GET /icon.svg")[0] == 200


def test_a_bug_of_ours_is_one_line_and_one_answer(capfd):
    def read(photo):
        raise RuntimeError("no such luck")

    with served({"index.html": b"fine"}, read) as port:
        answer = ask(port, "POST /read", b"photo")
        assert answer[0] == 500 and "no such luck" not in reason(answer)
        assert ask(port, "GET /")[2] == b"fine"
    told = capfd.readouterr().err
    assert "no such luck" in told and "Traceback" not in told and len(told.splitlines()) == 1


def test_the_command_serves_until_ctrl_c(tmp_path):
    process = start("demo", "--port", "0", "--no-browser", cwd=tmp_path)
    line = process.stdout.readline()
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/ until Ctrl-C$", line)[1])
    assert ask(port, "GET /")[0] == 200
    taken = finish(start("demo", "--port", port, "--no-browser", cwd=tmp_path))
    taken.assert_refused(str(port), "--port 0")
    with Client(port), Client(port) as busy:
        busy.socket.sendall(b"GET / HTTP/1.1\r\n")
        assert ask(port, "GET /icon.svg")[0] == 200
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert (ended.status, ended.err) == (130, "stopped by Ctrl-C\n")


def test_the_command_lets_a_phone_in_by_the_address_that_it_prints(tmp_path):
    process = start("demo", "--port", "0", "--host", "0.0.0.0", cwd=tmp_path)
    others, own = process.stdout.readline(), process.stdout.readline()
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", own)[1])
    address, token = re.search(r"http://([\d.]+:\d+)/\?token=(\S+)", others).groups()
    try:
        assert ask(port, "GET /")[0] == 200  # from this machine
        assert ask(port, "GET /", Host=address)[0] == 421
        assert ask(port, f"GET /?token={token}", Host=address)[0] == 303
        assert token not in process.stdout.readline()  # the next phone's
    finally:
        process.send_signal(signal.SIGINT)
        finish(process)
    absent = finish(start("demo", "--host", "192.0.2.7", "--no-browser", cwd=tmp_path))
    absent.assert_refused("192.0.2.7")
