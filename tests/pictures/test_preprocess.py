"""Preprocessing: polarity, framing, contrast, size; on drawn pictures and on the real data sets."""

import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from lenet_xp.errors import InputError
from lenet_xp.pictures.image_file import ImageFile
from lenet_xp.pictures.preprocess import Preprocessing
from lenet_xp.system.opencv import cv2


def cross(side=64, ink=40, paper=250, width=6):
    """A framed plus sign, which no border crop changes."""
    picture = np.full((side, side), paper, np.uint8)
    middle = slice(side // 2 - width // 2, side // 2 + width // 2)
    picture[middle, :] = ink
    picture[:, middle] = ink
    return picture


def ring(side, box, thickness=6):
    """A dark ring in a white square; box is left, top, right, bottom."""
    picture = np.full((side, side), 255, np.uint8)
    left, top, right, bottom = box
    centre = ((left + right) // 2, (top + bottom) // 2)
    axes = ((right - left - thickness) // 2, (bottom - top - thickness) // 2)
    return cv2.ellipse(picture, centre, axes, 0, 0, 360, 20, thickness)


def test_a_dark_and_a_light_letter_become_the_same():
    apply = Preprocessing().apply
    picture = cross()
    assert apply(picture).dtype == np.uint8 and apply(picture).shape == (32, 32)
    np.testing.assert_array_equal(apply(picture), apply(255 - picture))
    assert apply(picture)[16, 16] > 245 and apply(picture)[4, 4] <= 8


def test_a_given_polarity_is_kept_where_auto_would_decide_otherwise():
    mostly_ink = cross(width=60)
    assert Preprocessing(polarity="dark-on-light").apply(mostly_ink).mean() > 200
    assert Preprocessing(polarity="light-on-dark").apply(mostly_ink).mean() < 55


@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("contrast", [True, False])
def test_a_blank_picture_gives_zeros_without_a_warning(level, contrast):
    noise = np.random.default_rng(0).integers(-7, 8, (64, 64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in (np.full((64, 64), level, np.uint8), np.clip(level + noise, 0, 255)):
            result = Preprocessing(contrast=contrast).apply(picture.astype(np.uint8))
            np.testing.assert_array_equal(result, np.zeros((32, 32)))


def test_faint_ink_is_stretched_only_when_contrast_is_asked_for():
    faint = cross(ink=180, paper=240)
    assert Preprocessing().apply(faint).max() == 255
    plain = Preprocessing(contrast=False).apply(faint)
    assert int(plain.min()) in range(11, 20) and int(plain.max()) in range(71, 80)


def test_colour_alpha_and_16_bits_read_as_the_grey_picture_does():
    apply = Preprocessing().apply
    grey = cross()
    expected = apply(grey)
    rgb = np.dstack([grey] * 3)
    clear = np.dstack([np.zeros_like(rgb), 255 - grey])  # black ink, transparent paper
    for picture in (
        grey[:, :, None],
        rgb,
        np.dstack([rgb, np.full_like(grey, 255)]),
        clear,
        grey.astype(np.uint16) * 257,
        np.asfortranarray(grey),
    ):
        assert np.abs(apply(picture).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), complex),
        np.zeros((64, 64, 2), np.uint8),
        np.zeros(64, np.uint8),
        np.zeros((3, 64), np.uint8),
        np.zeros((0, 0), np.uint8),
        np.zeros((2, 9, 9, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(picture):
    with pytest.raises(InputError, match="shape"):
        Preprocessing().apply(picture)


@pytest.mark.parametrize("framing", ["cut", "keep"])
@pytest.mark.parametrize("polarity", ["auto", "dark-on-light", "light-on-dark"])
def test_many_at_once_give_what_each_gives(framing, polarity):
    rng = np.random.default_rng(0)
    small = [cross(), 255 - cross(), cross(28), cross(40)[:, :9], np.full((64, 64), 9, np.uint8)]
    noise = [rng.integers(0, 256, (64, 64)).astype(np.uint8) for _ in range(5)]
    lost = np.full((64, 64), 255, np.uint8)
    lost[30:40, 30:45] = 0
    pictures = [*small, *noise, lost, ring(300, (100, 160, 200, 260)), np.dstack([cross()] * 3)]
    chosen = Preprocessing(framing=framing, polarity=polarity)
    together = chosen.apply_all(pictures)
    assert together.shape == (len(pictures), 32, 32) and together.dtype == np.uint8
    for picture, result in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(chosen.apply(picture), result)
    assert chosen.apply_all([]).shape == (0, 32, 32)


def test_ink_lost_in_a_small_picture_is_cut_out():
    picture = np.full((64, 64), 255, np.uint8)
    picture[20:36, 40:56] = cross(16, width=4)
    assert Preprocessing().apply(picture)[[0, -1]].max() > 150
    assert Preprocessing(framing="keep").apply(picture)[[0, -1]].max() == 0


def test_28_is_padded_by_2_and_16_is_scaled_up():
    digit = 255 - cross(28, ink=0, paper=255)
    kept = Preprocessing(framing="keep")
    result = kept.apply(digit)
    np.testing.assert_array_equal(result[2:30, 2:30], digit)
    assert result[:2].max() == result[:, 30:].max() == 0
    letter = kept.apply(cross(16, width=2))
    assert letter[0].max() > 200 and letter[:, 0].max() > 200  # it still touches all borders


@pytest.mark.parametrize("at", [(20, 30), (200, 60), (120, 130)])
def test_a_small_letter_in_a_large_shaded_sheet_is_found(at):
    letter = ring(64, (0, 0, 64, 64))
    letter[30:36] = 20  # yab
    sheet = np.tile(np.linspace(240, 150, 300), (300, 1))
    sheet[at[0] : at[0] + 64, at[1] : at[1] + 64] *= letter / 255
    expected = Preprocessing(framing="keep").apply(letter).astype(float)
    found = Preprocessing().apply(sheet.astype(np.uint8)).astype(float)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.9
    kept = Preprocessing(framing="keep").apply(sheet.astype(np.uint8))
    assert np.corrcoef(expected.ravel(), kept.ravel().astype(float))[0, 1] < 0.5


def test_specks_do_not_widen_the_box():
    sheet = np.full((300, 300), 240, np.uint8)
    sheet[100:200, 100:200] = ring(100, (0, 0, 100, 100))
    clean = Preprocessing().apply(sheet)
    sheet[10:12, 10:12] = sheet[290:292, 280:282] = 0
    np.testing.assert_allclose(Preprocessing().apply(sheet), clean, atol=2)


def test_a_ring_fills_the_frame_wherever_it_stands():
    """Where it stands does not tell `ya` from `yar`."""
    for top in (160, 100):
        found = Preprocessing().apply(ring(300, (100, top, 200, top + 100)))
        assert found[:2].max() > 100 and found[-2:].max() > 100


def test_a_bar_stays_narrow():
    for picture in (np.full((300, 300), 255, np.uint8), np.full((200, 20), 255, np.uint8)):
        width = picture.shape[1]
        picture[50:150, width // 2 - 5 : width // 2 + 5] = 0
        columns = Preprocessing().apply(picture).max(0) > 128
        assert 1 <= columns.sum() <= 6 and columns[14:18].any()


def test_fitted_takes_mean_and_deviation_of_the_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2500, 8, 8)).astype(np.uint8)
    fitted = Preprocessing(size=8).fitted(images)
    assert fitted.mean == pytest.approx((images / 255).mean())
    assert fitted.std == pytest.approx((images / 255).std())
    scale, shift = fitted.scale_and_shift()
    standard = scale * images + shift
    assert standard.mean() == pytest.approx(0, abs=1e-9) and standard.std() == pytest.approx(1)
    np.testing.assert_allclose(standard, (images / 255 - fitted.mean) / fitted.std, atol=1e-12)


def test_fitted_on_blank_images_divides_by_one():
    fitted = Preprocessing().fitted(np.zeros((4, 32, 32), np.uint8))
    assert (fitted.mean, fitted.std) == (0, 1)


def test_dict_round_trip():
    chosen = Preprocessing(28, "dark-on-light", "keep", False, 0.25, 0.5)
    assert Preprocessing.from_dict(chosen.to_dict()) == chosen
    assert Preprocessing.from_dict({}) == Preprocessing()


@pytest.mark.parametrize(
    "values",
    [
        {"size": 0},
        {"size": 32.0},
        {"size": True},
        {"size": "32"},
        {"size": 10**9},
        {"polarity": "dark"},
        {"polarity": ["auto"]},
        {"framing": None},
        {"contrast": 1},
        {"mean": float("nan")},
        {"mean": -1},
        {"mean": "0"},
        {"std": 0.0},
        {"std": float("inf")},
        {"colour": 1},
        [],
        None,
    ],
)
def test_bad_values_are_refused_in_one_line(values):
    with pytest.raises(InputError) as caught:
        Preprocessing.from_dict(values)
    assert "\n" not in str(caught.value)


def assert_same_in_batches(one, other, pictures):
    for start in range(0, len(pictures), 200):
        batch = pictures[start : start + 200]
        np.testing.assert_array_equal(one.apply_all(batch), other.apply_all(batch))


def test_every_amhcd_polarity_is_found(shared):
    with zipfile.ZipFile(shared / "amhcd_64.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")]
        assert len(names) == 25740
        chosen = names[::7] + [name for name in names if "/ya/" in name or "/yan/" in name]
        pictures = [ImageFile(archive.read(name), name).page() for name in chosen]
    known = Preprocessing(polarity="dark-on-light")
    assert_same_in_batches(Preprocessing(), known, pictures)
    ya = [each for each, name in zip(pictures, chosen, strict=True) if "/ya/" in name]
    tall = known.apply_all(ya)[:, :12].max((1, 2)) >= 128
    assert np.count_nonzero(tall) <= 2  # one picture, twice: the others keep their blank upper half


def test_every_mnist_digit_is_only_padded(shared):
    with np.load(shared / "mnist.npz") as arrays:
        digits = arrays["x_test"]
    known = Preprocessing(polarity="light-on-dark", framing="keep")
    kept = Preprocessing(framing="keep")
    assert_same_in_batches(kept, known, digits)
    padded = kept.apply_all(255 - digits[:200])
    assert padded[:, 2:30, 2:30].max((1, 2)).min() == 255 and padded[:, :2].max() == 0


@pytest.mark.parametrize("shape", [(65, 65), (300, 100), (7, 900)])
def test_a_blank_picture_of_any_size_is_blank(shape):
    for level in (0, 130, 255):
        assert not Preprocessing().apply(np.full(shape, level, np.uint8)).any()


@pytest.mark.parametrize("shape", [(4, 40_000), (40_000, 4), (4, 12_000_000)])
def test_a_very_long_bar_takes_no_square_of_its_length(shape):
    """4 x 40,000 pixels padded to a square would be 1.6 GB."""
    bar = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tracemalloc.start()
    assert Preprocessing().apply(bar).shape == (32, 32)
    assert tracemalloc.get_traced_memory()[1] < 400 * 2**20
    tracemalloc.stop()
