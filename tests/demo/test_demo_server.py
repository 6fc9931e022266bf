"""The demo's server over real sockets: what it gives, what it refuses, what it survives."""

import json
import random
import re
import signal
import socket
import threading
import time
from base64 import b64decode
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from commandline import finish, png, start
from demo_server import HOST, Client, ask, pgm, reason, served, written

from lenet_xp.demo.reading import PictureReader
from lenet_xp.demo.server import MAX_HEAD, Answer, Limits
from lenet_xp.demo.site import Site
from lenet_xp.inference import feature_maps
from lenet_xp.layers import Conv2D, Flatten, Linear, MaxPool2D, ReLU
from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model import Sequential
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops

NAMES = ("yaz", "yat", "yab", "yan", "yam", "yas", "yi", "yu")
PAGES = sorted(file.name for file in files("lenet_xp.demo").joinpath("page").iterdir())


@pytest.fixture(scope="module")
def saved():
    return load_model(SHIPPED, get_ops("numpy"))


@pytest.fixture(scope="module")
def site(saved):
    return Site(PictureReader(saved), saved.class_names)


@pytest.fixture(scope="module")
def port(site):
    with served(site) as port:
        yield port


def test_a_picture_is_read_as_the_model_reads_it(port, saved):
    for name in NAMES:
        picture = written(name)
        status, headers, body = ask(port, "POST /read", pgm(picture))
        assert (status, headers["cache-control"]) == (200, "no-store")
        answer = json.loads(body)
        seen = saved.preprocessing.apply(picture)
        (expected,) = shared_out(saved.probabilities(seen[None]), None, saved.class_names)
        best = np.argsort(-expected, kind="stable")[:5]  # ya and yar have equal odds
        given = {each["name"]: each["probability"] for each in answer["readings"]}
        assert list(given) == [saved.class_names[place] for place in best]
        np.testing.assert_allclose(list(given.values()), expected[best], atol=1e-5)
        assert answer["readings"][0]["name"] == name and not answer["blank"]
        assert b64decode(answer["seen"]["levels"]) == seen.tobytes()


def test_the_maps_are_those_of_the_network(port, saved):
    picture = written("yaz", 3)
    answer = json.loads(ask(port, "POST /read", pgm(picture))[2])
    expected = feature_maps(saved.model, saved.preprocessing.apply(picture), saved.preprocessing)
    assert [layer["name"] for layer in answer["maps"]] == list(expected)
    for layer in answer["maps"]:
        levels = np.frombuffer(b64decode(layer["levels"]), np.int8).reshape(layer["shape"])
        limit = layer["limit"]
        assert limit == pytest.approx(np.abs(expected[layer["name"]]).max())
        error = np.abs(levels * (limit / 127) - expected[layer["name"]])
        assert error.max() <= limit / 250


@pytest.mark.parametrize(
    ("layers", "counts"),
    [
        (
            lambda: [Conv2D(1, 80, 3), ReLU(), MaxPool2D(2), Flatten(), Linear(80 * 225, 33)],
            [80, 80],
        ),
        (lambda: [Flatten(), Linear(1024, 33)], []),
    ],
)
def test_any_network_shows_the_maps_that_it_has_and_says_how_many(saved, layers, counts):
    network = Sequential(layers(), (1, 32, 32), get_ops("numpy"))
    answer = PictureReader(replace(saved, model=network))(pgm(written("yab")))
    assert [layer["count"] for layer in answer["maps"]] == counts
    for layer in answer["maps"]:
        assert layer["shape"][0] == 64
        assert len(b64decode(layer["levels"])) == np.prod(layer["shape"])


def test_height_alone_tells_ya_from_yar_and_both_are_given(port):
    for height, first in ((0.4, "ya"), (0.6, "ya"), (0.8, "yar"), (1.1, "yar")):
        for number in range(4):
            answer = ask(port, f"POST /read?height={height}", pgm(written("yar", number)))
            given = {r["name"]: r["probability"] for r in json.loads(answer[2])["readings"]}
            assert next(iter(given)) == first and {"ya", "yar"} <= set(given) and len(given) == 5
            assert list(given.values()) == sorted(given.values(), reverse=True)
    for height in ("x", "-1", "nan", "1e9", "0.5&height=", "٠.٥"):
        line = f"POST /read?height={height}".encode().decode("latin-1")
        assert ask(port, line, pgm(written("yar")))[0] == 400


def test_sharing_out_by_height_keeps_what_both_have_and_every_other_letter():
    names = ("yab", "ya", "yar")
    rows = np.array([[0.2, 0.1, 0.7]])
    for height in np.linspace(0.01, 5, 60):
        (shared,) = shared_out(rows, height, names)
        assert shared[0] == 0.2 and shared.sum() == pytest.approx(1)
    halfway = 0.5 + 0.5 * 0.12 / (0.12 + 0.2)  # as many spreads from either
    assert shared_out(rows, halfway, names)[0, 1] == pytest.approx(0.4)
    assert shared_out(rows, 0.5, ("yab", "ya", "yaz")) is rows


def test_a_photo_tells_no_size_and_gives_ya_and_yar_at_equal_odds(port):
    answer = json.loads(ask(port, "POST /read", pgm(written("yar")))[2])
    first, second = answer["readings"][:2]
    assert {first["name"], second["name"]} == {"ya", "yar"}
    assert first["probability"] == pytest.approx(second["probability"])


def test_blank_paper_has_no_reading(port):
    answer = json.loads(ask(port, "POST /read", pgm(np.full((64, 64), 255, np.uint8)))[2])
    assert answer["blank"] and answer["readings"] == [] and answer["maps"] == []


def test_all_letters_and_their_strokes_are_given(port):
    known = json.loads(ask(port, "GET /letters")[2])
    assert [each["glyph"] for each in known] == [each.glyph for each in letters()]
    assert all(each["written"] for each in known)
    strokes = [json.loads(ask(port, f"GET /strokes?letter=yaz&number={n}")[2]) for n in (1, 1, 2)]
    assert strokes[0] == strokes[1] != strokes[2] and len(strokes[0]) == 3
    inside = np.concatenate([np.array(stroke) for stroke in strokes[0]])
    assert inside.min() >= 0 and inside.max() <= 1
    assert ask(port, "GET /strokes?letter=..&number=1")[0] == 404
    assert ask(port, "GET /strokes?letter=yaz&number=-1")[0] == 400
    assert ask(port, "GET /strokes?" + "&".join(["letter=yaz"] * 500))[0] == 200


def test_every_file_is_served_with_every_guard(port):
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg"}
    for name in ["", *PAGES, "letters.ttf"]:
        status, headers, body = ask(port, f"GET /{name}")
        assert status == 200 and len(body) > 100
        assert headers["content-type"].startswith(kinds.get(name.rpartition(".")[2], ""))
        policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert ask(port, f"HEAD /{name}")[1]["content-length"] == str(len(body))
    refused = ask(port, "GET /nothing")[1]
    assert refused["content-security-policy"] and refused["x-content-type-options"]


def test_the_page_asks_for_nothing_from_outside_and_holds_no_inline_code():
    page = files("lenet_xp.demo").joinpath("page")
    for name in PAGES:
        text = page.joinpath(name).read_text(encoding="utf-8")
        text = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert not re.search(r"https?:|//\w+\.\w|@import|innerHTML|eval\(", text), name
        assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", text), name
        for word in re.findall(r'(?:from |href=|src=|url\()"(?:\./)?([\w.]+)"', text):
            assert word in PAGES or word == "letters.ttf", (name, word)


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
    for path, allowed in (("/", "GET, HEAD"), ("/read", "POST"), ("/letters", "GET, HEAD")):
        status, headers, _ = ask(port, f"{method} {path}")
        assert (status, headers["allow"]) == (405, allowed)
    assert ask(port, "GET /read")[0] == ask(port, "POST /page.css", b"x")[0] == 405


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1", "evil.example:{}", "[::1]:{}"]
)
def test_a_name_that_was_made_to_point_here_is_refused(port, host):
    host = host and host.format(port)
    assert ask(port, "GET /", Host=host)[0] == 421
    assert ask(port, "POST /read", pgm(written("yaz")), Host=host)[0] == 421
    assert ask(port, "GET /", Host=f"LOCALHOST:{port}")[0] == 200


def test_pages_of_other_sites_cannot_ask(port):
    body = pgm(written("yaz"))
    foreign = ("null", "http://evil.example", f"https://{HOST}:{port}", f"http://{HOST}:1")
    for origin in foreign:
        assert ask(port, "POST /read", body, Origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site", "none"):
        assert ask(port, "POST /read", body, Sec_Fetch_Site=site)[0] == 403, site
    own = {"Origin": f"http://{HOST}:{port}", "Sec_Fetch_Site": "same-origin"}
    assert ask(port, "POST /read", body, **own)[0] == 200


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
        (400, b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"POST /read HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nab"),
        (400, b"POST /read HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        (400, "POST /read HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode("latin-1")),
        (400, b"POST /read HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        (501, b"POST /read HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEAD + b"\r\n\r\n"),
        (431, b"G" * 3 * MAX_HEAD),
    ],
)
def test_what_is_no_request_gets_its_status(port, status, request_):
    with Client(port) as client:
        client.socket.sendall(request_)
        answer = client.receive()
        assert answer[0] == status and reason(answer) and answer[1]["connection"] == "close"
        assert client.socket.recv(100) == b""
    assert ask(port, "GET /letters")[0] == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(site):
    with served(site, Limits(body=2**20)) as port:
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


def test_requests_follow_each_other_on_one_connection(port):
    with Client(port) as client:
        for _ in range(3):
            client.send("POST /read", pgm(written("yat")))
            assert json.loads(client.receive()[2])["readings"][0]["name"] == "yat"
        client.send("GET /letters")
        client.send("GET /icon.svg", Connection="close")  # before the first is answered
        first = client.receive()
        assert first[0] == 200 and first[1]["connection"] == "keep-alive"
        assert client.receive()[1]["connection"] == "close"
        assert client.socket.recv(10) == b""


def test_fifty_clients_at_once_are_all_read_right(port):
    together, found = threading.Barrier(50), {}

    def read(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        body = pgm(written(name))
        with Client(port) as client:
            together.wait(20)
            for _ in range(4):
                client.send("POST /read", body)
                answer = json.loads(client.receive()[2])
                found.setdefault(number, []).append(answer["readings"][0]["name"] == name)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 50 and all(right == [True] * 4 for right in found.values())


def test_one_connection_too_many_is_told_so_and_room_returns(site):
    with served(site, Limits(connections=3)) as port:
        clients = [Client(port) for _ in range(3)]
        for client in clients:
            client.send("GET /letters")
            assert client.receive()[0] == 200
        with Client(port) as late:
            status, headers, _ = late.receive()
            assert status == 503 and headers["retry-after"]
        clients.pop().socket.close()
        deadline = time.monotonic() + 20
        while ask_if_possible(port) != 200:
            assert time.monotonic() < deadline
        for client in clients:
            client.socket.close()


def ask_if_possible(port: int) -> int:
    try:
        return ask(port, "GET /letters")[0]
    except ConnectionError:
        return 0


@pytest.mark.parametrize(
    "head", ["GET / HTTP/1.1\r\nHost:", "POST /read HTTP/1.1\r\n{}Content-Length: 99\r\n\r\n"]
)
def test_who_sends_by_drops_is_cut_off_and_keeps_nobody_waiting(site, head):
    with served(site, Limits(patience=0.4)) as port:
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
        assert ask(port, "GET /letters")[0] == 200
        assert slow.receive()[0] == 408
        assert cut.wait(20)
        slow.socket.close()


def test_who_asks_nothing_is_let_go(site):
    with served(site, Limits(idle=0.2)) as port, Client(port) as client:
        assert client.socket.recv(10) == b""


def test_who_takes_no_answer_is_cut_off(site):
    with served(site, Limits(patience=0.4)) as port:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect((HOST, port))
        request = f"GET /letters.ttf HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
        with pytest.raises(ConnectionError), client:  # reset, not closed in peace
            while True:
                client.sendall(request * 1000)
        assert ask(port, "GET /letters")[0] == 200


def test_a_bug_of_ours_is_one_line_and_one_answer(capfd):
    def respond(head, body):
        if head.path == "/bug":
            raise RuntimeError("no such luck")
        return Answer(b"fine", "text/plain")

    with served(respond) as port:
        answer = ask(port, "GET /bug")
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
    with Client(port) as idle, Client(port) as busy:
        idle.send("GET /letters")
        busy.socket.sendall(b"GET / HTTP/1.1\r\n")
        assert idle.receive()[0] == 200
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert (ended.status, ended.err) == (130, "stopped by Ctrl-C\n")
