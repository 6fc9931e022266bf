"""What predict says of blanks, of several pages and of standard input."""

import io
import json
import os
import sys

import numpy as np
import pytest
from commandline import call, finish, png, start
from PIL import Image

from lenet_xp.system.opencv import cv2

__all__ = ["call"]  # the fixture


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blank(side=64):
    noise = np.random.default_rng(0).normal(235, 4, (side, side))
    return noise.clip(0, 255).astype(np.uint8)


def yan(side=64):
    """A bar on paper."""
    return cv2.line(blank(side), (side // 2, 6), (side // 2, side - 6), 20, max(3, side // 16))


def scan(path, *pictures):
    first, *others = map(Image.fromarray, pictures)
    first.save(path, save_all=True, append_images=others)
    return path


def test_blanks_are_told_in_every_form(call, place):
    Image.fromarray(blank()).save("a.png")
    Image.fromarray(blank(300)).save("b.png")
    outcome = call("predict", "a.png", "b.png")
    assert outcome.out == "a.png  (no ink)\nb.png  (no ink)\n" and outcome.status == 0
    assert outcome.err == "none of the 2 images that could be read holds ink\n"
    for page in ((), ("--page",)):
        results = json.loads(call("predict", "a.png", "b.png", "--json", *page).out)["results"]
        assert [each["blank"] for each in results] == [True, True]
    assert call("predict", "--page", "a.png").out == "a.png: 0 letters\n"


@pytest.mark.parametrize("page", [(), ("--page",)])
def test_a_folder_of_blanks_and_unreadable_files(call, place, page):
    (place / "all").mkdir()
    (place / "all" / "bad.png").write_bytes(png(1, 1))
    alone = call("predict", "all", "--skip-bad", *page)
    assert alone.status == 2 and "none of the images could be read" in alone.err
    Image.fromarray(blank()).save("all/blank.png")
    both = call("predict", "all", "--skip-bad", *page)
    assert both.status == 0 and "none of the 1 images that could be read holds ink" in both.err
    call("predict", "all", *page).assert_refused("bad.png", "too small")
    Image.fromarray(yan()).save("all/yan.png")
    assert "holds ink" not in call("predict", "all", "--skip-bad", *page).err


def test_of_several_pages_a_letter_is_read_on_the_first_and_that_is_said(call, place):
    scan("scan.tif", blank(), yan(), yan())
    outcome = call("predict", "scan.tif")
    assert outcome.out == "scan.tif  (no ink)\n" and outcome.status == 0
    assert outcome.err.startswith("only the first page is read of 1 file of several: scan.tif")
    scan("b.gif", yan(), blank())
    outcome = call("predict", "scan.tif", "b.gif", "--json")
    assert [each["pages"] for each in json.loads(outcome.out)["results"]] == [3, 2]
    assert "of 2 files of several: scan.tif" in outcome.err


def test_page_reads_every_page(call, place):
    scan("scan.tif", yan(200), blank(200), yan(200))
    outcome = call("predict", "--page", "scan.tif", "--out", "out")
    heads = [line for line in outcome.out.splitlines() if "scan" in line]
    assert heads == [
        "scan.tif page 1 of 3: 1 letter",
        "scan.tif page 2 of 3: 0 letters",
        "scan.tif page 3 of 3: 1 letter",
    ]
    assert sorted(os.listdir("out")) == [
        f"scan.page{n}.{kind}" for n in (1, 2, 3) for kind in ("json", "png")
    ]
    results = json.loads(call("predict", "--page", "scan.tif", "--json").out)["results"]
    assert [(each["file"], each["page"], each["pages"]) for each in results] == [
        ("scan.tif", n, 3) for n in (1, 2, 3)
    ]
    assert [each["blank"] for each in results] == [False, True, False]
    assert json.loads((place / "out" / "scan.page3.json").read_text()) == results[2]


def test_a_damaged_page_is_named_and_the_others_are_read(call, place):
    scan("scan.tif", yan(200), yan(200))
    data = (place / "scan.tif").read_bytes()
    (place / "scan.tif").write_bytes(data[: len(data) * 3 // 4])
    refused = call("predict", "--page", "scan.tif", "--out", "out")
    assert refused.status == 2 and refused.err.count("\n") == 1
    assert refused.out == "" and not (place / "out").exists()  # nothing of the first page either
    assert refused.err.startswith("error: scan.tif page 2 of 2: is damaged")
    outcome = call("predict", "--page", "scan.tif", "--skip-bad", "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    assert [each["page"] for each in found["results"]] == [1]
    assert [each["file"] for each in found["skipped"]] == ["scan.tif page 2 of 2"]


def test_too_many_pages_are_refused(call, place):
    scan("scan.tif", *(np.full((8, 8), n, np.uint8) for n in range(201)))
    call("predict", "--page", "scan.tif").assert_refused("scan.tif: has over 200 pages; split it")


class Standard(io.TextIOWrapper):
    """Standard input that holds some bytes."""

    def __init__(self, data, terminal=False):
        super().__init__(io.BytesIO(data))
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize("page", [(), ("--page",)])
def test_a_picture_from_standard_input(call, place, monkeypatch, page):
    Image.fromarray(yan(200)).save("yan.png")
    data = (place / "yan.png").read_bytes()

    def given(*arguments, data=data, **options):
        monkeypatch.setattr(sys, "stdin", Standard(data, **options))
        return call("predict", *page, "-", *arguments)

    assert given().out.startswith("standard input")
    result = json.loads(given("--json").out)["results"][0]
    assert result["file"] == "standard input" and not result["blank"]
    given(data=b"").assert_refused("standard input: is empty")
    given(data=b"a letter").assert_refused("standard input: is not an image")
    given(terminal=True).assert_refused("standard input: is a terminal")
    given("-").assert_refused("standard input can be read once")
    if page:
        given("--out", "out")
        assert sorted(os.listdir("out")) == ["standard input.page.json", "standard input.page.png"]
    outcome = given("yan.png", "--skip-bad", data=b"")
    assert outcome.status == 0 and "skipped standard input: is empty" in outcome.err
    monkeypatch.setattr(sys, "stdin", None)
    call("predict", "-", *page).assert_refused("standard input: is empty")


def test_standard_input_of_a_process(place):
    Image.fromarray(yan()).save("yan.png")
    with open("yan.png", "rb") as data:
        outcome = finish(start("predict", "-", cwd=place, stdin=data))
    assert outcome.status == 0 and outcome.out.startswith("standard input  ⵏ yan")
    outcome = finish(start("predict", "-", cwd=place, preexec_fn=lambda: os.close(0)))
    outcome.assert_refused("standard input: is empty")
