"""The page as a folder of files: what is written, and that it works anywhere, without a net."""

import json
import re
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from commandline import finish, start

from lenet_xp.demo.site import site_files
from lenet_xp.letters.alphabet import letters
from lenet_xp.model_file import MODELS, SHIPPED, load_model
from lenet_xp.ops import get_ops

try:
    from browser import Page, chromium, programs

    ABSENT = programs() is None
except ImportError:
    ABSENT = True
PUBLIC_NAMES = re.compile(r'(?:from |href=|src=|url\(|fetch\()"(?:\./)?([\w.]+)"')
CROSS = [[[0.5, 0.15], [0.5, 0.5], [0.5, 0.85]], [[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]]]
CONTROLLED = "navigator.serviceWorker.controller !== null"
MOST_BYTES = 700_000  # over the wire


@pytest.fixture(scope="module")
def saved():
    return load_model(SHIPPED, get_ops("numpy"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def hosted(folder: Path):
    """The address of a plain host of a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_site_has_the_model_whole(saved):
    site = site_files(saved, photos=False)
    numbers = np.frombuffer(site["model.bin"], "<f4")
    values = [p.value.reshape(-1) for p in saved.model.parameters().values()]
    np.testing.assert_array_equal(numbers, np.concatenate(values))
    told = json.loads(site["model.json"])
    assert told["class_names"] == list(saved.class_names) and not told["photos"]
    assert told["glyphs"] == [each.glyph for each in letters()]
    assert list(told["templates"]) == list(saved.class_names)
    assert sum(map(len, site.values())) < MOST_BYTES


def test_the_version_follows_from_the_content_alone(saved):
    def version(model):
        worker = site_files(model, photos=False)["worker.js"].decode()
        return re.match('const VERSION = "([0-9a-f]{16})", FILES = (.*);\n', worker).groups()

    other = load_model(MODELS["generated"], get_ops("numpy"))
    assert version(saved) == version(saved) and version(saved)[0] != version(other)[0]
    kept = set(json.loads(version(saved)[1]))
    assert kept == set(site_files(saved, photos=False)) - {"worker.js"}


def test_the_page_names_nothing_from_outside_and_holds_no_inline_code(saved):
    site = site_files(saved, photos=False)
    texts = {name: text for name, text in site.items() if name.endswith((".html", ".css", ".js"))}
    for name, content in texts.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")  # a name, no address
        assert not re.search(r"https?:|[\"'(]//\w+\.\w|@import|innerHTML|eval\(", text), name
        assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", text), name
        for word in PUBLIC_NAMES.findall(text):
            assert word in site or word == "read", (name, word)


def test_the_command_writes_a_site_and_spares_other_folders(tmp_path):
    done = finish(start("site", tmp_path / "site", cwd=tmp_path))
    assert done.status == 0 and (tmp_path / "site" / "index.html").is_file()
    assert finish(start("site", tmp_path / "site", cwd=tmp_path)).status == 0  # again
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "index.html").write_text("mine")
    refused = finish(start("site", tmp_path / "own", cwd=tmp_path))
    refused.assert_refused("own", "new folder")
    assert [each.name for each in (tmp_path / "own").iterdir()] == ["index.html"]


@pytest.mark.skipif(ABSENT, reason="needs selenium, chromium and chromedriver")
def test_another_site_with_a_worker_is_spared(tmp_path):
    for name in ("index.html", "worker.js"):
        (tmp_path / name).write_text("self.addEventListener('fetch', mine)")
    done = finish(start("site", ".", cwd=tmp_path))
    done.assert_refused("holds other files; give a new folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "worker.js"]
    assert "mine" in (tmp_path / "worker.js").read_text()


def test_it_works_under_any_path_asks_nobody_else_and_stays_without_a_net(saved, tmp_path):
    folder = tmp_path / "a path" / "of mine"
    folder.mkdir(parents=True)
    for name, content in site_files(saved, photos=False).items():
        (folder / name).write_bytes(content)
    with chromium(logged=True) as driver:
        driver.get("about:blank")
        driver.get_log("performance")
        with hosted(tmp_path) as host:
            page = Page(driver, f"{host}/a%20path/of%20mine/")
            page.open(360, 740)
            page.draw(CROSS)
            assert page.reading("t") > 0.5
            assert not page.find("#choose").is_displayed()
            page.wait(CONTROLLED)
            events = [
                json.loads(each["message"])["message"] for each in driver.get_log("performance")
            ]
        asked = [
            each["params"]["request"]["url"]
            for each in events
            if each["method"] == "Network.requestWillBeSent"
        ]
        assert len(asked) > 10 and all(each.startswith(page.address) for each in asked), asked
        page.open(360, 740)  # nobody answers any more
        page.speak("fr")
        page.draw(CROSS)
        assert page.reading("t") > 0.5
        told = [each["message"] for each in driver.get_log("browser")]
        assert [each for each in told if "getImageData" not in each] == []


@pytest.mark.skipif(ABSENT, reason="needs selenium, chromium and chromedriver")
def test_the_demo_is_not_hidden_by_a_site_that_stood_at_its_address(saved, tmp_path):
    for name, content in site_files(saved, photos=False).items():
        (tmp_path / name).write_bytes(content)
    with chromium() as driver:
        with hosted(tmp_path) as host:
            page = Page(driver, f"{host}/")
            page.open(360, 740)
            page.wait(CONTROLLED)
        for name, content in site_files(saved, photos=True).items():  # as the demo serves it
            (tmp_path / name).write_bytes(content)
        server = ThreadingHTTPServer(
            ("127.0.0.1", int(host.rpartition(":")[2])), partial(Quiet, directory=tmp_path)
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            for _ in range(3):
                page.open(360, 740)
                if page.find("#choose").is_displayed():
                    break
                time.sleep(1)
            page.wait("navigator.serviceWorker.controller === null")
            assert page.find("#choose").is_displayed()  # the demo's own page, which takes photos
        finally:
            server.shutdown()
            server.server_close()
            thread.join(30)
