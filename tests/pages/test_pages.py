"""Photos and pages of generated letters whose every letter is known, one nuisance at a time."""

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from commandline import call
from PIL import Image

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.alternatives import best_first
from lenet_xp.letters.drawn_pages import PAPERS, Photo, lay
from lenet_xp.letters.synthetic import generate
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model_file import SHIPPED, load_model
from lenet_xp.ops import get_ops
from lenet_xp.pages.lines import MAX_PIECES, find_lines, find_pieces, group_stacked
from lenet_xp.pages.output import PageReading
from lenet_xp.pages.page import LetterOnPage, read_page
from lenet_xp.pictures import letter as finding
from lenet_xp.pictures.image_file import read_image
from lenet_xp.pictures.ink import Ink, find_ink
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.pictures.sheet import Sheet, darkness, make_sheet
from lenet_xp.system.opencv import cv2
from studies.page_check.written import Written, lay_line

__all__ = ["call"]  # the fixture

NAMES = tuple(letter.name for letter in letters())
ALIKE = 0.7  # correlation: thin strokes that are a pixel of 32 off share little more
NUISANCES = {
    **{paper: Photo(paper=paper) for paper in PAPERS},
    "gradient": Photo(gradient=0.6),
    "shadow": Photo(shadow=0.5),
    "faint": Photo(ink=0.5),
    "chalk": Photo(light_on_dark=True),
    "soft": Photo(blur=1.0),
    "noise": Photo(noise=6),
    "jpeg": Photo(quality=40),
    "dim chalk": Photo(light_on_dark=True, gradient=0.5, noise=2),
}


@pytest.fixture(scope="module")
def images():
    """Three samples of every letter, (33, 3, 64, 64)."""
    return generate(3, seed=5)[0].reshape(33, 3, 64, 64)


@pytest.fixture(scope="module")
def saved():
    return load_model(SHIPPED, get_ops("numpy"))


def one_letter(image, photo, side=500, frame=(180, 230, 140, 150)):
    cover = np.zeros((side, side), np.float32)
    box = lay(cover, image, frame)
    return photo.take(cover, np.random.default_rng(3)), box


def page_of(images, names, photo=None, height=60, slant=0.0):
    """A page with a line for each list of names, and what is written on it."""
    rng = np.random.default_rng(1)
    cover = np.zeros((height * (2 * len(names) + 1), height * 14), np.float32)
    written: list[Written] = []
    for number, line in enumerate(names):
        labels = [NAMES.index(name) for name in line]
        start = (height // 2, height + 2 * height * number)
        chosen = [images[label, number % 3] for label in labels]
        written += lay_line(cover, chosen, labels, start, height, number, rng)
    if slant:
        high, wide = cover.shape
        move = np.array([[1, 0, 0], [slant, 1, 0]], np.float32)
        cover = cv2.warpAffine(cover, move, (wide, high + int(slant * wide)))
    return (photo or Photo()).take(cover, rng), written


def read_names(found, line):
    return [e.name for e in found if e.line == line]


@pytest.mark.parametrize("name", NUISANCES)
def test_a_letter_is_cut_out_whatever_paper_and_light_do(name, images):
    chosen = [NAMES.index(each) for each in ("yab", "yazz", "yay", "yam", "yad", "yal")]
    alike = []
    for label in chosen:
        photo, _ = one_letter(images[label, 0], NUISANCES[name])
        direct = Preprocessing().apply(images[label, 0]).astype(float)
        found = Preprocessing().apply(photo).astype(float)
        alike.append(np.corrcoef(direct.ravel(), found.ravel())[0, 1])
    assert np.median(alike) > 0.8 and min(alike) > 0.55, alike


def test_letters_on_a_page_read_as_those_fed_directly(images, saved):
    direct, pasted = [], []
    for label in range(33):
        photo, _ = one_letter(images[label, 1], Photo(gradient=0.3, noise=2, paper="ruled"))
        pasted.append(saved.preprocessing.apply(photo))
        direct.append(saved.preprocessing.apply(images[label, 1]))
    rows = shared_out(saved.probabilities(np.array([*direct, *pasted])), None, NAMES)
    right = rows.argmax(1) == shared_out(np.eye(33)[[*range(33)] * 2], None, NAMES).argmax(1)
    assert right[33:].sum() >= right[:33].sum() - 2


@pytest.mark.parametrize("tag", range(1, 9))
def test_every_exif_orientation_gives_the_same_letter(tag, tmp_path, images):
    photo, _ = one_letter(images[NAMES.index("yaq"), 0], Photo())
    undone = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.T,
        6: np.rot90(photo),
        7: photo[::-1, ::-1].T,
        8: np.rot90(photo, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = tag
    for suffix in ("png", "jpeg"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(np.ascontiguousarray(undone[tag])).save(path, exif=exif)
        found = Preprocessing().apply(read_image(path)).astype(float)
        expected = Preprocessing().apply(photo).astype(float)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97


def test_alpha_16_bits_and_a_palette_give_the_same_letter(tmp_path, images):
    photo, _ = one_letter(images[NAMES.index("yaf"), 0], Photo())
    ink = 255 - photo
    pictures = {
        "alpha": Image.fromarray(np.dstack([np.zeros((*ink.shape, 3), np.uint8), ink])),
        "deep": Image.fromarray(photo.astype(np.uint16) * 257),
        "palette": Image.fromarray(np.dstack([photo] * 3)).quantize(16),
    }
    expected = Preprocessing().apply(photo).astype(float)
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        found = Preprocessing().apply(read_image(tmp_path / f"{name}.png")).astype(float)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95, name


def test_the_smallest_and_the_largest_pictures(images):
    small = cv2.resize(images[NAMES.index("yam"), 0], (16, 16), interpolation=cv2.INTER_AREA)
    direct = Preprocessing().apply(images[NAMES.index("yam"), 0]).astype(float)
    found = Preprocessing().apply(small).astype(float)
    assert np.corrcoef(direct.ravel(), found.ravel())[0, 1] > ALIKE
    large = np.full((6000, 8300), 235, np.uint8)
    large[3000:3400, 5000:5400] = cv2.resize(images[NAMES.index("yam"), 0], (400, 400))
    tracemalloc.start()
    found = Preprocessing().apply(large).astype(float)
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    tracemalloc.stop()
    assert np.corrcoef(direct.ravel(), found.ravel())[0, 1] > ALIKE


def test_polarity_of_a_sheet_with_a_hard_shadow():
    picture = np.full((400, 500), 230, np.uint8)
    picture[:, 260:] = 120
    picture[180:220, 100:103] = 60
    assert make_sheet(picture).dark and not make_sheet(255 - picture).dark


HERE, THERE, BESIDE = (10, 10, 40, 40), (200, 90, 30, 40), (12, 10, 40, 40)


@pytest.mark.parametrize(
    ("darker", "lighter", "as_dark", "as_light", "dark"),
    [
        (1.0, 0.0, [HERE, HERE], [THERE, THERE], True),  # sure, and something is there
        (0.0, 1.0, [HERE, HERE], [THERE, THERE], False),
        (1.0, 0.0, [HERE, THERE], [HERE, HERE], False),  # sure, but nothing is there
        (0.0, 1.0, [HERE, HERE], [], True),
        (1.0, 0.5, [HERE, BESIDE, THERE], [HERE, HERE, HERE], False),  # contradictory
        (0.5, 1.0, [HERE, HERE, HERE], [HERE, BESIDE, THERE], True),
        (1.0, 0.5, [HERE, BESIDE], [HERE, HERE], True),  # as good both ways round
        (0.5, 1.0, [HERE, HERE], [HERE, BESIDE], False),
    ],
)
def test_a_picture_of_contradictory_votes_is_tried_both_ways_round(
    darker, lighter, as_dark, as_light, dark, monkeypatch
):
    def candidates(sheet):
        boxes = as_dark if sheet.dark else as_light
        return [finding.Candidate(18.0, sheet.levels, sheet.levels, box) for box in boxes]

    monkeypatch.setattr(finding, "polarity_votes", lambda grey: (darker, lighter))
    monkeypatch.setattr(finding, "_candidates", candidates)
    found = finding._best_candidate(np.full((100, 300), 200, np.uint8), "auto")
    assert found.box == (as_dark if dark else as_light)[0]
    assert found.levels[0, 0] == (200 if dark else 255 - 200)


def test_a_small_letter_is_looked_at_again_only_where_that_enlarges_it(images):
    """Ruled lines cannot be recognised in a small cutting."""
    label = NAMES.index("yazz")
    photo = Photo("squared", 42, noise=1)
    direct = Preprocessing().apply(images[label, 0]).astype(float)
    for side, size in ((1350, 44), (3900, 130)):
        picture, _ = one_letter(images[label, 0], photo, side, (700, 500, size - 4, size))
        found = Preprocessing().apply(picture).astype(float)
        assert np.corrcoef(direct.ravel(), found.ravel())[0, 1] > ALIKE, side


def test_specks_do_not_lead_from_one_to_the_next_over_a_page():
    boxes = [(0, 0, 500, 500), (200, 200, 15, 15), (235, 200, 12, 12), (290, 200, 12, 12)]
    pieces = np.zeros((500, 500), np.int32)
    for number, (left, top, wide, high) in enumerate(boxes[1:], 1):
        pieces[top : top + high, left : left + wide] = number
    ink = Ink(np.zeros((500, 500), np.uint8), pieces, np.array(boxes), np.array([0.0, 90, 50, 50]))
    mask, box = finding.letter_mask(ink)
    assert box == (200, 200, 47, 15)
    assert mask[205, 240] and not mask[205, 295]


def test_noise_in_a_shadow_is_no_ink():
    rng = np.random.default_rng(2)
    light = np.where(np.arange(600) < 300, 230.0, 90.0) * np.ones((400, 1))
    picture = light * (1 + 0.04 * rng.standard_normal((400, 600)))
    picture[100:140, 80:86] *= 0.5
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    unruled = Sheet(picture, np.zeros_like(picture), True)
    mask = find_ink(darkness(unruled, 60), 60, unruled.ruled).mask()
    assert mask[102:138, 83].all()
    mask[96:144, 76:90] = 0
    assert np.count_nonzero(mask[:, :280]) == np.count_nonzero(mask[:, 320:]) == 0


def test_a_small_letter_on_a_large_grained_page_is_found(images):
    label = NAMES.index("yaz")
    photo = Photo(paper="grained", gradient=0.5, shadow=0.4, ink=0.95, noise=3)
    picture, _ = one_letter(images[label, 0], photo, 1200, (820, 260, 60, 64))
    direct = Preprocessing().apply(images[label, 0]).astype(float)
    found = Preprocessing().apply(picture).astype(float)
    assert np.corrcoef(direct.ravel(), found.ravel())[0, 1] > ALIKE


def test_the_check_of_pages_scores_what_it_pastes(tmp_path):
    root, out = Path(__file__).resolve().parents[2], tmp_path / "out"
    command = [sys.executable, "-m", "studies.page_check", "--letters", "12", "--pages", "1"]
    outcome = subprocess.run([*command, "--out", out], capture_output=True, text=True, cwd=root)
    assert outcome.returncode == 0, outcome.stderr
    record = json.loads((out / "test.json").read_text())
    assert record["single_letters"]["pasted"]["count"] == 12
    assert record["lines"]["right"]["count"] == 24
    assert record["lines"]["found"]["share"] > 0.9
    assert record["lines"]["right"]["share"] > 0.7
    assert (out / "page.png").is_file()


def test_lines_are_found_in_order_and_letters_left_to_right(images, saved):
    names = [["yaz", "yam", "yab", "yaq"], ["yad", "yal", "yay", "yat"], ["yax", "yaf", "yi"]]
    photo, written = page_of(images, names, Photo(paper="ruled", gradient=0.4, noise=2))
    found = read_page(photo, saved)
    assert [(each.line, each.position) for each in found] == [
        (line, place) for line, each in enumerate(names) for place in range(len(each))
    ]
    for each, truth in zip(found, written, strict=True):
        assert np.abs(np.subtract(each.box, truth.box)).max() <= 6
    right = sum(e.name == NAMES[t.label] for e, t in zip(found, written, strict=True))
    assert right >= len(written) - 1


def test_letters_of_several_parts_are_one(images, saved):
    names = [["yu", "yey", "yas", "yab", "yam"], ["yagw", "yaz", "yakw", "yad", "yu"]]
    photo, written = page_of(images, names)
    found = read_page(photo, saved)
    assert len(found) == len(written)
    right = [read_names(found, line) == line_names for line, line_names in enumerate(names)]
    assert any(right), [read_names(found, line) for line in (0, 1)]


def test_a_line_may_rise_or_sink(images, saved):
    names = [["yaz", "yam", "yab", "yaq", "yad"], ["yal", "yay", "yat", "yax", "yi"]]
    photo, _ = page_of(images, names, slant=0.1)
    for page in (photo, photo[:, ::-1]):
        found = read_page(np.ascontiguousarray(page), saved)
        assert [each.line for each in found].count(0) == 5
        assert max(each.line for each in found) == 1


def test_ya_and_yar_are_told_by_the_line_and_by_nothing_else(images, saved):
    photo, _ = page_of(images, [["yam", "ya", "yaz", "yar", "yad", "ya"]])
    assert read_names(read_page(photo, saved), 0) == ["yam", "ya", "yaz", "yar", "yad", "ya"]
    photo, _ = page_of(images, [["yar", "yar"]])
    for each in read_page(photo, saved):
        best = {alternative.name for alternative in each.alternatives[:2]}
        assert best == {"ya", "yar"} and not each.certain


def test_words_are_parted_by_spaces(saved):
    row = np.eye(33)
    box = (0, 0, 9, 9)
    rows = (
        *(row[NAMES.index("yam")], row[NAMES.index("yat")]),
        (row[NAMES.index("ya")] + row[NAMES.index("yar")]) / 2,
    )
    places = ((box, 0, 0, False), (box, 0, 1, True), (box, 1, 0, False))
    found = (
        LetterOnPage(best_first(row, NAMES), *place)
        for row, place in zip(rows, places, strict=True)
    )
    page = PageReading(tuple(found))
    assert page.text == "ⵎ ⵜ\n[ⴰ|ⵔ]" and page.latin == "m t\n[a|r]"
    assert [[each.name for each in line] for line in page.lines] == [["yam", "yat"], ["ya"]]
    assert [each.certain for each in page.letters] == [True, True, False] and not page.blank


def test_stacked_parts_and_lines_on_boxes_alone():
    boxes = np.array([[0, 0, 10, 10], [1, 20, 9, 30], [30, 0, 60, 30], [0, 60, 30, 90]])
    first, second = find_lines(boxes)
    assert sorted(first) == [0, 1, 2] and list(second) == [3]
    assert [sorted(part) for part in group_stacked(boxes, first)] == [[0, 1], [2]]
    assert find_lines(np.zeros((0, 4), int)) == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_page_has_no_letters(level, saved):
    assert read_page(np.full((300, 400), level, np.uint8), saved) == []


def test_pages_of_noise_stay_bounded(saved):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 400)).astype(np.uint8)
    specks = np.where(rng.random((300, 400)) < 0.02, 0, 255).astype(np.uint8)
    specks = np.kron(specks[:100, :133], np.ones((3, 3), np.uint8))
    for page in (noise, specks):
        tracemalloc.start()
        assert len(find_pieces(page).boxes) <= MAX_PIECES
        assert len(read_page(page, saved)) <= MAX_PIECES
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
        tracemalloc.stop()


def test_a_page_with_as_many_pieces_as_are_kept_stays_small():
    rows, columns = np.mgrid[:1000, :1000]
    dots = np.where((rows % 14 < 5) & (columns % 14 < 5), 0, 255).astype(np.uint8)
    tracemalloc.start()
    assert len(find_pieces(dots).boxes) == MAX_PIECES
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    tracemalloc.stop()


def test_the_command_reads_pages(images, tmp_path, call):
    photo, _ = page_of(images, [["yaz", "yam", "yab"], ["yad", "yal"]])
    Image.fromarray(photo).save(tmp_path / "a.png")
    plain = call("predict", "--page", tmp_path / "a.png")
    assert plain.status == 0 and "5 letters" in plain.out and len(plain.out.splitlines()) == 5
    out = tmp_path / "read"
    told = json.loads(call("predict", "--page", tmp_path / "a.png", "--json", "--out", out).out)
    (page,) = told.pop("results")
    assert told == {"version": 1, "skipped": []} and not page["blank"]
    assert page == json.loads((out / "a.page.json").read_text(encoding="utf-8"))
    assert [(e["line"], e["position"]) for e in page["letters"]] == [
        *((0, place) for place in range(3)),
        *((1, place) for place in range(2)),
    ]
    assert all(abs(sum(r["probability"] for r in e["readings"]) - 1) < 0.3 for e in page["letters"])
    drawn = np.asarray(Image.open(out / "a.page.png").convert("RGB")).astype(int)
    assert drawn.shape[:2] == photo.shape and (np.ptp(drawn, axis=2) > 60).any()
    assert call("predict", tmp_path / "a.png", "--out", out).status == 2


def test_no_page_that_can_be_read_is_an_error_and_no_empty_list(tmp_path, call):
    (tmp_path / "a.png").write_bytes(b"no picture")
    outcome = call("predict", "--page", tmp_path / "a.png", "--skip-bad", "--json")
    assert (outcome.status, outcome.out) == (2, "") and "error: none of the images" in outcome.err


def test_pages_of_one_name_do_not_replace_each_other(images, tmp_path, call):
    photo, _ = page_of(images, [["yaz"]])
    for name in ("a.png", "a.bmp", "a-2.png"):
        Image.fromarray(photo).save(tmp_path / name)
    outcome = call("predict", "--page", tmp_path, "--out", tmp_path / "read")
    assert outcome.status == 0 and outcome.out.count(": 1 letter\n") == 3
    results = [json.loads(path.read_text()) for path in sorted((tmp_path / "read").glob("*.json"))]
    assert sorted(each["file"] for each in results) == sorted(
        str(tmp_path / name) for name in ("a.png", "a.bmp", "a-2.png")
    )


def test_a_lone_ring_in_a_photo_gets_both_readings(images, tmp_path, call):
    photo, _ = one_letter(images[NAMES.index("yar"), 0], Photo(), frame=(60, 50, 150, 150))
    Image.fromarray(photo).save(tmp_path / "ring.png")
    (told,) = json.loads(call("predict", tmp_path / "ring.png", "--json").out)["results"]
    first, second = told["readings"][:2]
    assert {first["name"], second["name"]} == {"ya", "yar"}
    assert first["probability"] == second["probability"]
