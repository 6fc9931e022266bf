"""Who wrote what: the table is whole, says what was found, and agrees with the real files."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from lenet_xp.data.dataset import Dataset
from lenet_xp.data.sources import load_dataset
from lenet_xp.data.splits import image_groups, linked, make_split, members_of, repeated
from lenet_xp.data.writers import doubtful_writers, writer_table, writers_of
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.system.opencv import cv2

NAMES = tuple(each.name for each in letters())
DISPLACED = ("yan", "yaq", "yax", "yagw", "yakw")


def made(names=NAMES, numbers=range(1, 781), **changes):
    """A data set with AMHCD's names and one pixel an image."""
    files = tuple(f"{name}/{name}_{number}.jpeg" for name in names for number in numbers)
    labels = np.repeat(np.arange(len(names)), len(numbers))
    images = np.zeros((len(files), 1, 1), np.uint8)
    return replace(Dataset("made", images, labels, tuple(names), files), **changes)


def test_every_writer_gave_thirteen_samples_of_every_letter():
    assert tuple(writer_table()) == NAMES
    for name, each in writer_table().items():
        expected = np.full(60, 13)
        if name == "yax":
            expected[[10, 59]] = 12, 14
        np.testing.assert_array_equal(np.bincount(each.writers, minlength=60), expected)


def test_most_letters_are_numbered_writer_by_writer():
    plain = np.repeat(np.arange(60), 13)
    for name, each in writer_table().items():
        assert np.array_equal(each.writers, plain) == (name not in DISPLACED)
    uncertain = {name for name, each in writer_table().items() if not each.certain}
    assert uncertain == {"yan", "yagw", "yakw"}
    assert uncertain == {name for name, each in writer_table().items() if each.doubtful}
    assert doubtful_writers() == [(1, 4, 28, 29, 30, 33, 36, 37), (16, 18, 46, 47, 55)]


def test_the_letters_that_are_numbered_otherwise():
    writers = {name: writer_table()[name].writers for name in DISPLACED}

    def blocks(name):
        return writers[name][6::13].tolist()

    late = [*range(45, 54), 55]
    early = [*range(45), 54, *range(56, 60)]
    assert blocks("yaq") == late + early and blocks("yax") == early + late
    assert writers["yax"][141:144].tolist() == [10, 11, 11]  # from here one file early
    # yan: the samples 1 to 780 in the order of their names as text.
    as_text = sorted(str(number) for number in range(1, 781))
    assert as_text[:3] == ["1", "10", "100"]
    assert writers["yan"].tolist() == [(int(number) - 1) // 13 for number in as_text]
    # yagw, yakw: in numerical order, where all others stand in that of the names "1_" to "60_".
    sheets = sorted(range(1, 61), key=lambda number: f"{number}_")
    expected = [sheets.index(number) for number in range(1, 61)]
    expected[16] = sheets.index(46)  # the 17th came late and the 46th took its place
    expected[45:50] = [sheets.index(number) for number in (47, 48, 49, 50, 17)]
    assert blocks("yagw") == blocks("yakw") == expected


def test_writers_are_read_off_names_in_any_order():
    data = made()
    writers = writers_of(data)
    assert writers.dtype == np.int64 and writers.shape == (len(data),)
    np.testing.assert_array_equal(writers[:780], np.repeat(np.arange(60), 13))
    order = np.random.default_rng(0).permutation(len(data))
    mixed = replace(data, files=tuple(data.files[i] for i in order), labels=data.labels[order])
    np.testing.assert_array_equal(writers_of(mixed), writers[order])


def test_skipped_files_are_no_other_data_set():
    data = made()
    gone = 780 * 4 + 5
    kept = np.delete(np.arange(len(data)), gone)
    fewer = replace(
        data,
        images=data.images[kept],
        labels=data.labels[kept],
        files=tuple(data.files[i] for i in kept),
        skipped=((data.files[gone], "is cut short"),),
    )
    np.testing.assert_array_equal(writers_of(fewer), writers_of(data)[kept])


@pytest.mark.parametrize(
    "data",
    [
        made(files=()),
        made(NAMES[:-1]),
        made(numbers=range(780)),
        made(numbers=range(1, 780)),
        made(numbers=range(1, 782)),
        made((*NAMES[:-1], "alpha")),
        made(files=(*made().files[:-1], "yu/ya_780.jpeg")),
        made(files=(*made().files[:-1], "yu/yu_0780.jpeg")),
    ],
)
def test_another_data_set_has_no_writers(data):
    with pytest.raises(InputError, match=r"made: nobody knows .* AMHCD as published") as caught:
        make_split(data, "writer")
    assert "\n" not in str(caught.value)


def test_writers_who_share_an_image_are_dealt_together():
    """The folds are as full as they can be; who belongs together is found with plain sets."""
    data = made()
    images = np.arange(len(data), dtype=np.uint32).view(np.uint8).reshape(-1, 2, 2)
    links = [(0, 2), (2, 3), (5, 6), (7, 8), (9, 10), (10, 11), (12, 20), (27, 34), (40, 58)]
    for number, (one, other) in enumerate(links):  # a sample of another letter for each link
        first, second = (780 * number + 13 * writer + 6 for writer in (one, other))
        images[second] = images[first]
    data = replace(data, images=images)
    writers = writers_of(data)
    together = [{writer} for writer in range(60)]
    for link in [
        *(
            (writers[780 * n + 13 * a + 6], writers[780 * n + 13 * b + 6])
            for n, (a, b) in enumerate(links)
        ),
        *doubtful_writers(),
    ]:
        joined = set().union(*(each for each in together if each & {*link}))
        together = [each for each in together if not each & {*link}] + [joined]
    tested, validating = [], []
    for fold in range(5):
        split = make_split(data, "writer", fold)
        train, val, test = (
            {*writers[side].tolist()} for side in (split.train, split.val, split.test)
        )
        assert len(split.train) + len(split.val) + len(split.test) == len(data)
        assert all(sum(bool(unit & side) for side in (train, val, test)) == 1 for unit in together)
        assert len(test) == 12 and 0 < len(val) <= 6
        # Nobody more would fit: a unit that trains is larger than the room left in validation.
        assert all(len(val) + len(unit) > 6 for unit in together if unit <= train)
        tested.append(test)
        validating.append(val)
    assert set().union(*tested) == {*range(60)}
    assert len({frozenset(each) for each in validating}) == 5
    spread = [np.ptp(sorted(each)) for each in (*tested, *validating)]
    assert np.median(spread) > 30  # drawn from everywhere, not as they are numbered


def test_links_join_over_any_number_of_steps():
    assert linked(7, [(5, 1), (3, 2), (6, 5), (2, 6)]).tolist() == [0, 1, 1, 1, 4, 1, 1]
    assert linked(3, []).tolist() == [0, 1, 2]


def test_groups_of_identical_images():
    images = np.array([7, 8, 7, 9, 8, 7], np.uint8).reshape(-1, 1, 1)
    groups = image_groups(images)
    assert groups.tolist() == [0, 1, 0, 2, 1, 0]
    assert [part.tolist() for part in repeated(groups)] == [[0, 2, 5], [1, 4]]
    assert members_of(groups, np.array([3, 4, 1, 5, 4, 1])) == [(1, 3)]
    assert repeated(image_groups(images[:2])) == [] == repeated(image_groups(images[:0]))


@pytest.fixture(scope="module")
def ink(shared):
    """How dark the ink of each file is: letter -> (780,), by file number, straight from the zip."""
    darkness = {name: np.zeros(780) for name in NAMES}
    with zipfile.ZipFile(io.BytesIO((shared / "amhcd_64.zip").read_bytes())) as archive:
        for member in archive.namelist():
            if not member.endswith(".jpeg"):
                continue
            grey = cv2.imdecode(np.frombuffer(archive.read(member), np.uint8), cv2.IMREAD_GRAYSCALE)
            name, number = member.rsplit("/", 1)[-1].removesuffix(".jpeg").split("_")
            darkness[name][int(number) - 1] = np.sort(grey, axis=None)[:400].mean()
    return darkness


def agreement(ink, writers_by_name):
    """The rank correlation of each letter's darkness by writer with that of the plain letters."""
    medians = {
        name: np.array([np.median(ink[name][writers == w]) for w in range(60)])
        for name, writers in writers_by_name.items()
    }
    ranks = {name: each.argsort().argsort() for name, each in medians.items()}
    common = np.median([ranks[name] for name in NAMES if name not in DISPLACED], axis=0)
    return {name: np.corrcoef(ranks[name], common)[0, 1] for name in ranks}


def test_the_ink_agrees_with_the_table_and_not_with_the_numbers(ink):
    listed = agreement(ink, {name: each.writers for name, each in writer_table().items()})
    assert min(listed.values()) > 0.6
    numbered = agreement(ink, {name: np.repeat(np.arange(60), 13) for name in NAMES})
    assert all(numbered[name] < listed[name] - 0.2 for name in DISPLACED)
    assert all(numbered[name] < 0.3 for name in DISPLACED if name != "yax")


def test_the_ink_changes_at_every_border_of_yax_and_nowhere_else(ink):
    change = np.abs(np.diff(ink["yax"]))
    border = np.diff(writer_table()["yax"].writers) != 0
    assert border.sum() == 59
    assert change[border].mean() > 3 * change[~border].mean()
    plain = np.arange(1, 780) % 13 == 0
    assert change[plain].mean() < 0.8 * change[border].mean()


def test_identical_images_of_amhcd_join_few_writers(shared):
    data = load_dataset(shared / "amhcd_64.zip", cache=False, progress=False)
    groups = image_groups(data.images)
    parts = repeated(groups)
    assert (len(parts), sum(map(len, parts)) - len(parts)) == (84, 86)
    # In yaq and yagw, too, whose order is their own: an independent sign that it is right.
    assert members_of(groups, writers_of(data)) == [(11, 58), (27, 34), (45, 46)]


def test_nobody_can_change_the_table_that_all_read():
    with pytest.raises(ValueError, match="read-only"):
        writer_table()["ya"].writers[0] = 1
