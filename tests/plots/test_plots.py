"""Every picture is a real, legible PNG whatever the classes, and shows what its data say.

A glyph that the font lacks is only a warning to matplotlib; here every warning is a failure.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from matplotlib.text import Text

from lenet_xp import plots
from lenet_xp.errors import InputError
from lenet_xp.letters.alphabet import letters
from lenet_xp.plots.canvas import caption, new_page, place_image, save
from lenet_xp.scores.calibration import reliability
from lenet_xp.scores.metrics import GroupScore
from lenet_xp.scores.rejection import rejection_curve
from lenet_xp.scores.summary import Scores

pytestmark = pytest.mark.filterwarnings("error")

LETTERS = tuple(each.name for each in letters())
CLASSES = {
    "33": LETTERS,
    "10": tuple("0123456789"),
    "2": ("ya", "yar"),
    "odd": ("$", "$x^$", "a folder of whatever name, however long", "ⵣ"),
}


@pytest.fixture(params=CLASSES.values(), ids=CLASSES.keys())
def names(request):
    return request.param


def read(path) -> np.ndarray:
    """The picture at `path` (H, W, 3), once it is sure to be legible: a PNG of a size for a
    screen, neither blank nor with anything cut off at its edges."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = cv2.imread(str(path))
    height, width = picture.shape[:2]
    assert 100 < height < 2500 and 300 < width < 2500
    assert np.mean(picture.min(axis=2) < 250) > 0.002
    edges = (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:])
    assert all(edge.min() == 255 for edge in edges), "something runs over the edge"
    return picture


def orange(picture: np.ndarray) -> int:
    """How many pixels are clearly more red than blue."""
    return int(np.count_nonzero(picture[..., 2].astype(int) - picture[..., 0] > 25))


def confused(names: tuple[str, ...], errors: int) -> Scores:
    """50 images a class, `errors` of each read as the class after it."""
    count = len(names)
    labels = np.repeat(np.arange(count), 50)
    read_as = np.where(np.arange(50 * count) % 50 < errors, (labels + 1) % count, labels)
    return Scores(labels, np.eye(count)[read_as], names)


def answers(names: tuple[str, ...], errors: int) -> tuple[np.ndarray, Scores]:
    """100 images, and answers to them of which `errors` name the class after the true one."""
    count = len(names)
    labels = np.arange(100) % count
    read_as = np.where(np.arange(100) < errors, (labels + 1) % count, labels)
    probabilities = np.full((100, count), 0.1 / count)
    probabilities[np.arange(100), read_as] = 0.9
    images = np.zeros((100, 32, 32), dtype=np.uint8)
    images[:, 8:24, 14:18] = 255
    return images, Scores(labels, probabilities, names)


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 2.0 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "val_loss": 2.5 / epoch,
            "val_accuracy": 1 - 0.6 / epoch,
            "learning_rate": 0.01 / epoch,
            "seconds": 0.5,
        }
        for epoch in range(1, epochs + 1)
    ]


def test_confusion_matrix_shows_errors_in_orange(tmp_path, names):
    plots.save(plots.confusion_matrix(confused(names, 0).confusion, names), tmp_path / "right.png")
    plots.save(plots.confusion_matrix(confused(names, 5).confusion, names), tmp_path / "wrong.png")
    right, wrong = read(tmp_path / "right.png"), read(tmp_path / "wrong.png")
    assert right.shape == wrong.shape
    assert orange(wrong) > orange(right) + 100 * len(names)


def test_confusion_matrix_of_no_images(tmp_path):
    plots.save(
        plots.confusion_matrix(np.zeros((10, 10), dtype=np.int64), CLASSES["10"]),
        tmp_path / "a.png",
    )
    read(tmp_path / "a.png")


def test_confused_pairs(tmp_path, names):
    plots.save(plots.confused_pairs(confused(names, 5)), tmp_path / "a.png")
    assert orange(read(tmp_path / "a.png")) > 5000


def test_no_confused_pairs(tmp_path):
    plots.save(plots.confused_pairs(confused(LETTERS, 0)), tmp_path / "a.png")
    assert orange(read(tmp_path / "a.png")) == 0


def test_per_class_scores(tmp_path, names):
    plots.save(plots.per_class_scores(confused(names, 5)), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_per_class_scores_of_classes_that_never_occur(tmp_path):
    scores = Scores(np.zeros(3, dtype=np.int64), np.eye(10)[[0, 0, 0]], CLASSES["10"])
    plots.save(plots.per_class_scores(scores), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_misclassified_shows_the_letters_that_were_read_wrong(tmp_path, names):
    plots.save(plots.misclassified(*answers(names, errors=5)), tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    # One stroke a tile: 16 x 4 of 32 x 32 pixels, ink dark on light paper.
    strokes = cv2.connectedComponentsWithStats((picture.max(axis=2) < 40).astype(np.uint8))[2]
    assert np.count_nonzero(strokes[1:, cv2.CC_STAT_AREA] > 800) == 5


def test_misclassified_stops_at_forty(tmp_path):
    for errors in (40, 99):
        path = tmp_path / f"{errors}.png"
        plots.save(plots.misclassified(*answers(LETTERS, errors)), path)
    shapes = {read(path).shape for path in tmp_path.iterdir()}
    assert len(shapes) == 1
    plots.save(plots.misclassified(*answers(LETTERS, 99), most=8), tmp_path / "8.png")
    assert read(tmp_path / "8.png").shape[0] < shapes.pop()[0] / 3


def test_misclassified_without_errors(tmp_path):
    plots.save(plots.misclassified(*answers(LETTERS, 0)), tmp_path / "a.png")
    read(tmp_path / "a.png")


@pytest.mark.parametrize("epochs", [1, 60])
def test_learning_curves(tmp_path, epochs):
    plots.save(plots.learning_curves(history(epochs)), tmp_path / "a.png")
    assert orange(read(tmp_path / "a.png")) > 30


def test_learning_curves_with_gaps(tmp_path):
    epochs = history(6)
    epochs[2]["train_loss"] = float("nan")
    epochs[3]["train_loss"] = float("inf")
    epochs[4]["train_loss"] = 0.0
    for epoch in epochs:
        epoch["val_loss"] = None
        del epoch["val_accuracy"]
    epochs[5]["train_accuracy"] = 1.0
    plots.save(plots.learning_curves(epochs), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_learning_curves_of_no_epochs(tmp_path):
    plots.save(plots.learning_curves([]), tmp_path / "a.png")
    read(tmp_path / "a.png")


def stages(value: float) -> dict[str, np.ndarray]:
    shapes = {"C1": (6, 28, 28), "S2": (6, 14, 14), "C3": (16, 10, 10), "S4": (16, 5, 5)}
    return {name: np.full(shape, value) for name, shape in shapes.items()}


def test_feature_maps_are_red_above_zero_and_blue_below(tmp_path):
    red_over_blue = {}
    for value in (-1.0, 1.0):
        path = tmp_path / f"{value}.png"
        plots.save(plots.feature_maps(np.zeros((32, 32)), stages(value)), path)
        picture = read(path).astype(int)
        red_over_blue[value] = np.mean(picture[..., 2] - picture[..., 0])
    assert red_over_blue[1.0] > 20
    assert red_over_blue[-1.0] < -20


def test_feature_maps_of_a_stage_share_one_scale(tmp_path):
    pale = {"C1": np.concatenate([np.ones((1, 8, 8)), np.full((5, 8, 8), 0.01)])}
    plots.save(plots.feature_maps(np.zeros((12, 12)), pale), tmp_path / "pale.png")
    plots.save(
        plots.feature_maps(np.zeros((12, 12)), {"C1": np.ones((6, 8, 8))}), tmp_path / "full.png"
    )
    dark = [orange(read(tmp_path / name)) for name in ("pale.png", "full.png")]
    assert dark[0] < 0.3 * dark[1]


def test_feature_maps_of_a_wide_or_diverged_network(tmp_path):
    wide = {"C1": np.ones((32, 28, 28)), "C3": np.full((40, 10, 10), np.nan)}
    plots.save(plots.feature_maps(np.zeros((32, 32)), wide), tmp_path / "a.png")
    read(tmp_path / "a.png")


SHAPES = [(6, 1, 5, 5), (1, 1, 5, 5), (16, 6, 5, 5), (32, 3, 3, 3), (40, 1, 1, 5), (512, 300, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_filters(tmp_path, shape):
    plots.save(plots.filters(np.random.default_rng(0).normal(size=shape)), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_filters_in_several_blocks_share_one_scale(tmp_path):
    weights = np.full((32, 1, 3, 3), 0.01)
    weights[0] = 1
    plots.save(plots.filters(weights), tmp_path / "pale.png")
    plots.save(plots.filters(np.ones_like(weights)), tmp_path / "full.png")
    dark = [orange(read(tmp_path / name)) for name in ("pale.png", "full.png")]
    assert dark[0] < 0.3 * dark[1]


WIDE = {"deep": (40, [16] * 3), "512": (4, [512]), "many": (12, [512, 64]), "one": (1, [2000])}


@pytest.mark.parametrize("kind", WIDE)
def test_feature_maps_of_any_network_fit_a_screen_or_two(tmp_path, kind):
    """Of layers of many maps the first are shown, and the picture says so."""
    count, maps = WIDE[kind]
    names = [f"maxpool2d_{number}" for number in range(min(count, 16))]
    stages = {n: np.ones((maps[i % len(maps)], 9, 7)) for i, n in enumerate(names)}
    figure = plots.feature_maps(np.zeros((32, 32)), stages)
    plots.save(figure, tmp_path / "a.png")
    read(tmp_path / "a.png")
    said = [text.get_text() for text in figure.findobj(Text) if "maps" in text.get_text()]
    assert [f"{len(stages[n])} maps" in each for n, each in zip(names, said, strict=True)]
    assert any(each.startswith("first ") for each in said) == (max(maps) > 16)


def test_feature_maps_of_a_network_that_makes_none(tmp_path):
    plots.save(plots.feature_maps(np.eye(32), {}), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_maps_higher_than_wide_do_not_run_into_the_next_row(tmp_path):
    stages = {"C1": np.ones((3, 40, 10)), "C2": -np.ones((3, 10, 10))}
    plots.save(plots.feature_maps(np.zeros((40, 40)), stages), tmp_path / "a.png")
    picture = read(tmp_path / "a.png").astype(int)
    red, blue = (
        np.flatnonzero((sign * (picture[..., 2] - picture[..., 0]) > 50).sum(axis=1) > 80)
        for sign in (1, -1)
    )
    assert red.max() < blue.min()


COLOURS = np.zeros((100, 32, 32, 3), dtype=np.uint8)
COLOURS[..., 1] = 200  # green


def green(figure, path) -> int:
    plots.save(figure, path)
    return int(np.count_nonzero((read(path) == (0, 200, 0)).all(axis=2)))


def test_pictures_in_colour_are_drawn_in_colour(tmp_path, names):
    scores = answers(names, errors=5)[1]
    assert green(plots.misclassified(COLOURS, scores), tmp_path / "a.png") > 5 * 100**2
    assert green(plots.feature_maps(COLOURS[0], stages(1.0)), tmp_path / "b.png") > 100**2
    sheet = np.broadcast_to(COLOURS[:6], (len(names), 6, 32, 32, 3))
    assert green(plots.letter_sheet(sheet, names), tmp_path / "c.png") > 6 * len(names) * 40**2


@pytest.mark.parametrize("channels", [1, 3])
def test_saliency_marks_the_pixels_of_the_largest_gradient(tmp_path, channels):
    image = np.full((16, 16, 3), 255, np.uint8) if channels == 3 else np.zeros((16, 16), np.uint8)
    gradient = np.zeros((channels, 16, 16), np.float32)
    plots.save(plots.saliency(image, gradient), tmp_path / "none.png")
    assert orange(read(tmp_path / "none.png")) == 0
    gradient[-1, 2, 3] = -1.0
    gradient[0, 10, 3] = 0.2
    figure = plots.saliency(image, gradient)
    plots.save(figure, tmp_path / "a.png")
    picture = read(tmp_path / "a.png").astype(int)
    warm = np.argwhere(picture[..., 2] - picture[..., 0] > 150)
    pixels = warm[:, ::-1] * (1, -1) + (0, len(picture))
    data = figure.axes[0].transData.inverted().transform(pixels)
    assert len(warm) > 200
    np.testing.assert_allclose(data.mean(axis=0), (3, 2), atol=0.1)


@pytest.mark.parametrize("shape", [(16, 16), (3, 12, 16), (1, 3, 16, 16)])
def test_saliency_refuses_a_gradient_of_another_image(shape):
    with pytest.raises(ValueError, match="not of an image"):
        plots.saliency(np.zeros((16, 16, 3), np.uint8), np.zeros(shape))


def test_letter_sheet(tmp_path, names):
    images = np.zeros((len(names), 6, 32, 32), dtype=np.uint8)
    images[:, :, 8:24, 14:18] = 255
    plots.save(plots.letter_sheet(images, names), tmp_path / "a.png")
    read(tmp_path / "a.png")


def doubts(count: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (count, 10) and labels of which about one in ten names another class."""
    rng = np.random.default_rng(count)
    probabilities = rng.dirichlet(np.full(10, 0.02 * scale), count)
    return probabilities, np.array([rng.choice(10, p=row) for row in probabilities], dtype=int)


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_reliability_of_one_and_of_two(tmp_path, count):
    before, after = (reliability(*doubts(count, scale)) for scale in (1, 2))
    plots.save(plots.reliability({"as trained": before}), tmp_path / "one.png")
    named = {"as trained": before, "at temperature 12.34": after}
    plots.save(plots.reliability(named), tmp_path / "two.png")
    one, two = read(tmp_path / "one.png"), read(tmp_path / "two.png")
    assert one.shape == two.shape and (one != two).any()
    if count:
        assert orange(one) > 50 and orange(two) > 50


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
@pytest.mark.parametrize("targets", [(), (0.995, 0.999), (0.1, 1.0)])
def test_rejection(tmp_path, count, targets):
    plots.save(plots.rejection(rejection_curve(*doubts(count, 1)), targets), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_rejection_marks_only_the_accuracies_that_are_reached(tmp_path):
    curve = rejection_curve(*doubts(3000, 4))
    plots.save(plots.rejection(curve, (0.9,)), tmp_path / "reached.png")
    plots.save(plots.rejection(curve, ()), tmp_path / "none.png")
    assert orange(read(tmp_path / "reached.png")) > orange(read(tmp_path / "none.png")) + 50


def test_rejection_where_all_or_nothing_is_right(tmp_path):
    for shift in (0, 1):
        labels = (np.arange(50) + shift) % 10
        curve = rejection_curve(np.eye(10)[np.arange(50) % 10], labels)
        plots.save(plots.rejection(curve, (0.995, 0.999)), tmp_path / f"{shift}.png")
        read(tmp_path / f"{shift}.png")


@pytest.mark.parametrize("count", [0, 1, 12, 60, 300])
def test_accuracy_by_writer(tmp_path, count):
    scores = [GroupScore(number, 80, 70 + number % 11) for number in range(count)]
    plots.save(plots.per_group(sorted(scores, key=lambda each: each.accuracy)), tmp_path / "a.png")
    read(tmp_path / "a.png")


def test_captions_of_letters_and_of_other_classes():
    assert caption("yagw") == "yagw ⴳⵯ"
    assert caption("7") == "7"
    assert len(caption("x" * 100)) < 20


def test_a_missing_glyph_would_fail_these_tests(tmp_path):
    _, page = new_page(4, 2)
    page.text(1, 1, "字")
    with pytest.raises(UserWarning, match="missing from font"):
        save(page.figure, tmp_path / "a.png")


def test_place_image_draws_at_the_given_place(tmp_path):
    figure, page = new_page(4, 2)
    place_image(page, np.zeros((2, 4, 3), dtype=np.uint8), left=1, top=0.5, width=2)
    save(figure, tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    black = np.argwhere(picture.max(axis=2) == 0)
    np.testing.assert_allclose(black.min(axis=0), (55, 110), atol=1)
    np.testing.assert_allclose(black.max(axis=0), (164, 329), atol=1)


def test_a_picture_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        plots.save(plots.learning_curves(history(2)), tmp_path / "missing" / "a.png")


def test_pictures_drawn_in_threads_equal_those_drawn_alone(tmp_path):
    weights = np.random.default_rng(0).normal(size=(6, 1, 5, 5))
    plots.save(plots.filters(weights), tmp_path / "alone.png")
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: plots.save(plots.filters(weights), path), paths))
    alone = (tmp_path / "alone.png").read_bytes()
    assert all(path.read_bytes() == alone for path in paths)
