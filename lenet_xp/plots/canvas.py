"""What all pictures share: colours, fonts, class labels, and writing a PNG file.

Figures are made without pyplot, so there is no global state and no window, and any thread may draw.
"""

from io import BytesIO
from typing import Any, Literal, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from lenet_xp.letters.alphabet import letter, letters
from lenet_xp.system.files import FilePath, atomic_write

# The palette of Okabe and Ito: distinct under every common kind of colour blindness.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, FAINT = "#222222", "#6B6B6B", "#DDDDDD"
DOTS_PER_INCH = 110  # pixels per inch: of every picture
MAX_LABEL = 14  # characters: of a class name in a picture


class Picture(Figure):
    """A figure that a notebook shows as the value of a cell, with or without pyplot."""

    def _repr_png_(self) -> bytes:
        self.savefig(file := BytesIO(), format="png")
        return file.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of width x height inches."""
    return Picture(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes, placed in inches from the top left corner: faster than a layout engine."""
    wide, high = figure.get_size_inches()
    box = (left / wide, 1 - (top + height) / high, width / wide, height / high)
    return figure.add_axes(box)


def axes_or_new(ax: Axes | None, *inches: float) -> tuple[Axes, dict[Text, str]]:
    """Return `ax` and its texts, or new axes. inches: size of their figure, then their place."""
    if ax is None:
        return add_axes(new_figure(*inches[:2]), *inches[2:]), {}
    return ax, {text: text.get_text() for text in ax.findobj(Text)}


def finished(drawn: Figure | Axes, known: dict[Text, str] | None = None) -> Figure:
    """Return the figure, its texts legible wherever it is shown; `known` ones stay as they are."""
    for text in drawn.findobj(Text):
        written = text.get_text()  # not yet a number's, which may become mathematics
        if (known or {}).get(text) != written:
            # This font comes with matplotlib and has all 33 letters. A class name may contain "$".
            text.set(fontfamily="DejaVu Sans", parse_math=not written, usetex=False)
    return cast(Figure, drawn.get_figure(root=True))


def save(figure: Figure, path: FilePath) -> None:
    """Draw `figure` into the PNG file `path`, whole or not at all; InputError if it cannot be."""
    with atomic_write(path) as handle:
        figure.savefig(handle, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 4})


def new_page(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes that fill it; coordinates are inches from the top left corner."""
    figure = new_figure(width, height)
    axes = add_axes(figure, 0, 0, width, height)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure, axes


def place_image(
    page: Axes, image: np.ndarray, left: float, top: float, width: float, **style: Any
) -> None:
    """Draw an (H, W) image on a page, `width` inches wide; `style` goes to matplotlib's imshow."""
    limits: dict[str, Any] = {"xlim": page.get_xlim(), "ylim": page.get_ylim()}
    extent = (left, left + width, top + width * image.shape[0] / image.shape[1], top)
    page.imshow(image, extent=extent, **{"interpolation": "nearest"} | style)
    page.set(**limits, aspect="auto")


def write(page: Axes, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Write text on a page, vertically centred at y; `style` goes to matplotlib's Text."""
    page.text(x, y, text, None, **{"fontsize": size, "va": "center", "color": INK} | style)


def title(axes: Axes, text: str) -> None:
    """Set a left-aligned title."""
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=INK)


def style_axes(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """Remove the frame; draw pale grid lines for the axis `grid`."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis=grid, color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)


def note(text: str, ax: Axes | None = None) -> Figure:
    """Return a picture of `text` alone, where there are no data."""
    axes, known = axes_or_new(ax, 8, 2, 0, 0, 8, 2)
    axes.set_axis_off()
    write(axes, 0.5, 0.5, text, 14, ha="center", transform=axes.transAxes)
    return finished(axes, known)


def caption(name: str) -> str:
    """Return the class name and its glyph ("yar ⵔ"), or a shortened name outside the alphabet."""
    return f"{name} {letter(name).glyph}" if in_alphabet(name) else shortened(name)


def in_alphabet(name: str) -> bool:
    """Return whether a class name is one of the 33 letters."""
    return letter(name) in letters()


def shortened(name: str) -> str:
    """Return the class name, cut to MAX_LABEL characters: a folder may have any name."""
    return name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"


def percent(share: float, digits: int = 1) -> str:
    """Return a share from 0 to 1 as a percentage: "99.4 %"."""
    return f"{100 * share:.{digits}f} %"
