"""Every plot is a figure that a notebook shows and its user saves, alone or beside others."""

import subprocess
import sys
from inspect import signature
from io import BytesIO
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from lenet_xp import plots
from lenet_xp.scores.calibration import reliability
from lenet_xp.scores.metrics import GroupScore
from lenet_xp.scores.rejection import rejection_curve
from lenet_xp.scores.summary import Scores

pytestmark = pytest.mark.filterwarnings("error")  # such as that of a glyph that the font lacks

NAMES = ("ⵣ $x^$", "yab", "$\\alpha$")
LABELS = np.arange(60) % 3
READ = np.where(np.arange(60) < 9, (LABELS + 1) % 3, LABELS)
SCORES = Scores(LABELS, 0.8 * np.eye(3)[READ] + 0.2 / 3, NAMES)
RIGHT = Scores(LABELS, np.eye(3)[LABELS], NAMES)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 12, 12), dtype=np.uint8)
EPOCH = {"epoch": 1, "train_loss": 1.0, "val_loss": 2.0, "learning_rate": 0.1, "seconds": 1.0}
DIAGRAMS = (
    (plots.confused_pairs, SCORES),
    (plots.confused_pairs, RIGHT),
    (plots.per_class_scores, SCORES),
    (plots.rejection, rejection_curve(SCORES.probabilities, LABELS), (0.9, 0.99)),
    (plots.per_group, [GroupScore("ⵣ $x^$", 30, 20), GroupScore("$\\alpha$", 30, 30)]),
    (plots.per_group, []),
    (plots.saliency, IMAGES[0], RNG.normal(size=(1, 12, 12))),
)
PAGES = (
    (plots.learning_curves, [EPOCH]),
    (plots.confusion_matrix, SCORES.confusion, NAMES),
    (plots.letter_sheet, IMAGES.reshape(3, 20, 12, 12), NAMES),
    (plots.misclassified, IMAGES, SCORES),
    (plots.misclassified, IMAGES, RIGHT),
    (plots.feature_maps, IMAGES[0], {"ⵣ $x^$": RNG.normal(size=(3, 6, 6))}),
    (plots.filters, RNG.normal(size=(2, 1, 3, 3))),
    (plots.reliability, {"ⵣ $x^$": reliability(SCORES.probabilities, LABELS)}),
)


def saved(figure: Figure) -> bytes:
    """What a user's own savefig writes of a figure."""
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def named(case) -> str:
    return case[0].__name__ if callable(case[0]) else ""


every_plot = pytest.mark.parametrize("case", DIAGRAMS + PAGES, ids=named)
every_diagram = pytest.mark.parametrize("case", DIAGRAMS, ids=named)


def test_every_plot_is_tried_here():
    functions = {each for each in vars(plots).values() if callable(each)} - {plots.save}
    assert {draw for draw, *_ in DIAGRAMS + PAGES} == functions
    assert {draw for draw, *_ in DIAGRAMS} == {
        f for f in functions if "ax" in signature(f).parameters
    }


@every_plot
def test_a_figure_is_the_same_however_it_is_saved_and_whatever_the_users_font(case, tmp_path):
    draw, *data = case
    figure = draw(*data)
    assert isinstance(figure, Figure)
    with mpl.rc_context({"font.family": "cmsy10"}):  # which has neither ⵣ nor a plain letter
        assert saved(draw(*data)) == saved(figure)
    plots.save(figure, tmp_path / "a.png")
    plots.save(draw(*data), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@every_plot
def test_numbers_that_the_user_wants_as_mathematics_are_that(case):
    draw, *data = case
    with mpl.rc_context({"axes.formatter.use_mathtext": True}):
        figure = draw(*data)
        saved(figure)
    written = {text.get_text(): text.get_parse_math() for text in figure.findobj(Text)}
    assert all(parsed for text, parsed in written.items() if "mathdefault" in text)
    assert not any(parsed for text, parsed in written.items() if "$x^$" in text)


@every_diagram
def test_a_diagram_goes_into_the_users_axes_and_leaves_his_texts_alone(case):
    draw, *data = case
    user = Figure(figsize=(9, 4))
    left, right = user.subplots(1, 2)
    own = [left.set_title("$\\beta$"), right.set_title("$\\gamma$"), user.suptitle("$\\delta$")]
    own += [right.text(0, 0, "$\\epsilon$"), right.annotate("$\\zeta$", (0, 0))]
    for text in own:
        text.set_fontfamily("cmr10")
    before = saved(user)
    assert draw(*data, ax=right) is user
    assert user.axes == [left, right] and len(right.get_children()) > len(left.get_children())
    assert all(text.get_parse_math() and text.get_fontfamily() == ["cmr10"] for text in own)
    assert saved(user) != before


@every_diagram
def test_a_diagram_goes_into_a_part_of_a_figure_too(case):
    draw, *data = case
    whole = Figure()
    part = whole.subfigures(1, 2)[1]
    assert draw(*data, ax=part.subplots()) is whole
    saved(whole)


def test_a_diagram_in_the_users_axes_is_legible_in_the_users_font():
    pictures = []
    for family in ("DejaVu Sans", "cmsy10"):
        user = Figure()
        ax = user.subplots()
        with mpl.rc_context({"font.family": family}):
            plots.per_group(*DIAGRAMS[4][1:], ax=ax)
            names = [text for text in ax.get_xticklabels()] + [ax.xaxis.label]
            pictures.append([(text.get_text(), text.get_fontfamily()) for text in names])
    assert pictures[0] == pictures[1] and pictures[0][0] == ("ⵣ $x^$", ["DejaVu Sans"])


def test_a_legend_stays_clear_of_the_title_in_narrow_axes():
    user = Figure(figsize=(7, 4))
    ax = user.subplots(1, 2)[1]
    plots.per_class_scores(SCORES, ax=ax)
    saved(user)
    assert not ax.get_legend().get_window_extent().overlaps(ax._left_title.get_window_extent())


def test_a_notebook_shows_a_figure_once_with_and_without_pyplot():
    nbformat, nbclient = map(pytest.importorskip, ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    last = "plots.filters(numpy.eye(4)[None, None])"
    cells = (
        f"import sys, numpy; from lenet_xp import plots\n{last}",
        "print('matplotlib.pyplot' in sys.modules)",
        f"import matplotlib.pyplot\n{last}",
        f"%matplotlib inline\n{last}",
    )
    v4 = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    first, loaded, *others = (cell.outputs for cell in notebook.cells)
    assert loaded[0].text == "False\n"
    for outputs in (first, *others):
        assert ["image/png" in each.data for each in outputs] == [True]


def test_plotting_leaves_pyplot_and_its_windows_alone(tmp_path):
    code = f"""
import sys, numpy
from lenet_xp import plots
plots.save(plots.filters(numpy.eye(4)[None, None]), {str(tmp_path / "a.png")!r})
plots.saliency(numpy.eye(4, dtype="uint8"), numpy.eye(4)[None]).savefig({str(tmp_path / "b.svg")!r})
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_classes_that_do_not_occur_have_no_scores_to_draw():
    scores = Scores(LABELS, SCORES.probabilities @ np.eye(3, 9), [f"class {i}" for i in range(9)])
    axes = plots.per_class_scores(scores).axes[0]
    assert {text.get_text() for text in axes.get_yticklabels()} == {f"class {i}" for i in range(3)}


def test_long_answers_below_errors_stay_apart():
    scores = Scores(LABELS, SCORES.probabilities, ["none of these"] * 3)
    figure = plots.misclassified(IMAGES, scores)
    figure.draw_without_rendering()
    answers = [text for text in figure.findobj(Text) if text.get_text().startswith("read:")]
    boxes = [text.get_window_extent() for text in answers[:8]]  # of the first row
    assert len(boxes) == 8
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
