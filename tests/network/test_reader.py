"""The public reader: one reading everywhere, in any thread, from a pickle or a copy."""

import copy
import multiprocessing
import pickle
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lenet_xp
from lenet_xp.errors import InputError
from lenet_xp.inference import ForwardPass
from lenet_xp.letters.alphabet import letter, letters
from lenet_xp.letters.synthetic import generate
from lenet_xp.letters.ya_or_yar import shared_out
from lenet_xp.model import LeNet5
from lenet_xp.model_file import SHIPPED, SavedModel, save_model
from lenet_xp.model_file import load_model as load_saved
from lenet_xp.ops import get_ops
from lenet_xp.ops.cuda.cupy_ops import CupyOps
from lenet_xp.pages.page import read_page
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.reader import Reader

WHITE = np.full((64, 64), 255, np.uint8)


@pytest.fixture(scope="module")
def reader():
    return lenet_xp.load_model()


@pytest.fixture(scope="module")
def images():
    """A sample of every letter, (33, 64, 64)."""
    return generate(1, seed=5)[0]


def odds(reading):
    """The probabilities by class."""
    return {each.name: each.probability for each in reading.alternatives}


def photo_of(image):
    """A letter's image amid a larger page."""
    page = np.full((300, 300), 255, np.uint8)
    page[120:184, 90:154] = image
    return page


def test_a_letter_is_read_as_its_parts_read_it(reader, images):
    saved = load_saved(SHIPPED, get_ops("numpy"))
    for image in images:
        for picture in (image, photo_of(image)):
            seen = saved.preprocessing.apply(picture)
            rows = saved.probabilities(seen[None], 1)
            if max(picture.shape) > 64:
                rows = shared_out(rows, None, saved.class_names)
            reading = reader.read(picture)
            order = np.argsort(-rows[0], kind="stable")
            assert [each.name for each in reading.alternatives] == [
                saved.class_names[i] for i in order
            ]
            assert [each.probability for each in reading.alternatives] == rows[0][order].tolist()
            assert reading.refused == saved.refused(rows)[0] and not reading.blank
            named = (reading.name, reading.glyph, reading.latin, reading.probability)
            best = letter(saved.class_names[order[0]])
            read = best.name, best.glyph, best.latin, rows[0].max()
            assert named == (("", "", "", 0.0) if reading.refused else read)


def test_every_way_in_gives_the_same_odds(reader, tmp_path):
    grey = photo_of(generate(1, seed=8)[0][32])
    colour = np.repeat(grey[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "a.png")
    pictures = [
        *(grey, colour, np.dstack([colour, np.full_like(grey, 255)])),
        *(grey.astype(np.uint16) * 257, tmp_path / "a.png", str(tmp_path / "a.png")),
        Image.fromarray(grey),
    ]
    readings = [reader.read(picture) for picture in pictures]
    assert all(each == readings[0] for each in readings)
    together = reader.read_many(pictures)
    for each in together:
        assert each.name == readings[0].name
        assert odds(each) == pytest.approx(odds(readings[0]), abs=1e-6)
    assert reader.read_many([tmp_path / "a.png"]) == readings[:1]
    assert reader.read_many([]) == []


def test_the_height_tells_ya_from_yar_and_a_photo_alone_does_not(reader, images):
    photo = photo_of(images[[each.name for each in letters()].index("yar")])
    shared = odds(reader.read(photo))
    assert shared["ya"] == shared["yar"] and shared["ya"] + shared["yar"] > 0.5
    for height, first in ((0.5, "ya"), (1.0, "yar")):
        seen, reading = reader.see_and_read(photo, height)
        assert reading.name == first and seen.shape == (32, 32)
    assert len(set(list(odds(reader.read_prepared(seen)).values())[:2])) == 2


def test_a_blank_has_no_letter(reader):
    for picture in (WHITE, np.full((300, 400, 3), 200, np.uint8), np.zeros((8, 8), np.uint16)):
        reading = reader.read(picture)
        assert reading.blank and reading.alternatives == ()
        assert (reading.name, reading.glyph, reading.latin, reading.probability) == ("", "", "", 0)
        assert reader.read_many([picture]) == [reading]
    assert reader.read_prepared(np.zeros((32, 32), np.uint8)).blank
    assert reader.read_page(WHITE).blank and reader.read_page(WHITE).text == ""


def test_a_page_is_read_line_by_line(reader, images):
    names = [each.name for each in letters()]
    page = np.full((300, 400), 255, np.uint8)
    for line, row in enumerate((("yaz", "yam", "yab"), ("yad", "yal"))):
        for place, name in enumerate(row):
            page[40 + 120 * line :, 40 + 90 * place :][:64, :64] = images[names.index(name)]
    reading = reader.read_page(page)
    found = read_page(page, load_saved(SHIPPED, get_ops("numpy")))
    assert len(reading.letters) == len(found) and [len(line) for line in reading.lines] == [3, 2]
    for ours, theirs in zip(reading.letters, found, strict=True):
        assert (ours.box, ours.line, ours.position) == (theirs.box, theirs.line, theirs.position)
        assert ours.alternatives == theirs.alternatives and ours.certain == theirs.certain
    assert reading.lines[0][1].name == "yam" and "ⵎ" in reading.text.splitlines()[0]
    assert pickle.loads(pickle.dumps(reading)) == reading and hash(reading)


@pytest.mark.parametrize(
    "picture, words",
    [
        ("nowhere.png", "nowhere.png: cannot be read"),
        (np.zeros((64, 64), complex), "complex128 cannot be used"),
        (np.zeros((0, 64), np.uint8), "cannot be used"),
        (np.uint8(3), "cannot be used"),
        ("a\0b", "cannot be read"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_in_one_line(reader, picture, words):
    for read in (reader.read, reader.read_page, lambda bad: reader.read_many([WHITE, bad])):
        with pytest.raises(InputError, match=words) as caught:
            read(picture)
        assert "\n" not in str(caught.value)
    readings, problems = reader.try_many([WHITE, picture, WHITE])
    assert len(list(readings)) == 2 and list(problems) == [1]


def test_what_is_not_prepared_is_refused(reader):
    for letter_ in (np.zeros((28, 28), np.uint8), np.zeros((32, 32)), np.zeros((1, 32, 32), "u1")):
        with pytest.raises(InputError, match="is not prepared"):
            reader.read_prepared(letter_)


def test_a_model_that_overflows_gives_no_reading(images, tmp_path):
    model = LeNet5(2, activation="relu", ops=get_ops("numpy"))
    model.values[...] = 1e30
    save_model(tmp_path / "m.npz", SavedModel(model, Preprocessing(), ("ya", "yab"), {}))
    broken = lenet_xp.load_model(tmp_path / "m.npz")
    for read in (broken.read, broken.read_page, lambda image: broken.read_many([image])):
        with pytest.raises(InputError, match="overflow"):
            read(images[0])


# Shared, pickled, copied


def prepared(reader, images):
    return [reader.saved.preprocessing.apply(image) for image in images]


def test_threads_share_a_reader(images):
    reader = lenet_xp.load_model()
    seen = prepared(reader, images)
    expected = [reader.read_prepared(each) for each in seen]
    reader = lenet_xp.load_model()  # all threads meet it unprepared

    def hammer(number):
        order = np.random.default_rng(number).permutation(len(seen))
        return [reader.read_prepared(seen[i]) == expected[i] for i in order for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(hammer, range(16)))
    assert all(map(all, answers))
    assert 1 <= len(reader._idle) <= 8  # arrays are made for as many as read at once


def test_threads_share_a_device_in_turns(stand_in, images):
    saved = load_saved(SHIPPED, CupyOps())
    reader, host = Reader(saved), lenet_xp.load_model()
    seen = prepared(host, images)[:8]
    with ThreadPoolExecutor(4) as pool:
        readings = list(pool.map(reader.read_prepared, seen * 4))
    assert len(reader._idle) == 1
    for reading, letter_ in zip(readings, seen * 4, strict=True):
        assert odds(reading) == pytest.approx(odds(host.read_prepared(letter_)), abs=1e-5)


def test_a_spawned_process_reads_the_same(reader, images):
    seen = prepared(reader, images)[:5]
    expected = [reader.read_prepared(each) for each in seen]  # its arrays are prepared now
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(reader.read_prepared, seen) == expected


@pytest.mark.parametrize("again", (copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))))
def test_copies_read_the_same_and_are_their_own(reader, images, again):
    expected = reader.read(images[3])
    for twin in (again(reader), Reader(again(reader.saved))):
        assert twin.read(images[3]) == expected and twin.class_names == reader.class_names
        assert not np.shares_memory(twin.saved.model.values, reader.saved.model.values)
    assert len(pickle.dumps(reader)) < 300_000  # the parameters, once


def test_a_prepared_letter_takes_little_more_than_the_network_alone(reader, images):
    (seen,) = prepared(reader, images[:1])
    bare = ForwardPass(reader.saved.model.replica(), reader.saved.preprocessing)._read
    runs = {"bare": bare, "read": lambda: reader.read_prepared(seen)}
    least = dict.fromkeys(runs, np.inf)
    for _ in range(100):
        for name, run in runs.items():
            # Of this thread alone, for others use the machine, too.
            seconds = timeit.timeit(run, number=10, timer=time.thread_time)
            least[name] = min(least[name], seconds)
    assert least["read"] < 3 * least["bare"]


def test_one_picture_is_no_list_of_pictures_and_any_iterable_is(reader):
    path = Path(lenet_xp.__file__).parents[1] / "docs" / "letter.png"
    for one in (str(path), path, b"docs/letter.png"):
        with pytest.raises(InputError, match="this is one picture; give a list"):
            reader.read_many(one)
    for several in ([path, path], (path, str(path)), (each for each in (path, path))):
        assert [each.name for each in reader.read_many(several)] == ["yaz", "yaz"]
    assert reader.read_many(iter(())) == []
    with pytest.raises(ValueError, match="threads must be at least 1"):
        reader.read_many([path], threads=0)
