"""Two pictures of a convolution; the lessons show them, and so does the report."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # distinct in colour blindness, too


def empty_page(figure: Figure, width: float, height: float) -> Axes:
    """Axes without a frame whose unit is one cell of a matrix, from the top left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_axis_off()
    return axes


def draw_cells(axes: Axes, values: np.ndarray, left: float, top: float, title: str) -> None:
    """A matrix as cells with numbers, the darker the larger, under its title."""
    largest = max(1, np.abs(values).max())
    for (row, column), value in np.ndenumerate(values):
        x, y, shade = left + column, top + row, 1 - 0.35 * abs(value) / largest
        colour = (1, shade, shade) if value < 0 else (shade, shade, shade)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="#DDDDDD"))
        number = f"{round(float(value), 1) + 0:g}"
        axes.text(x + 0.5, y + 0.5, number, ha="center", va="center", fontsize=8)
    axes.text(left, top - 0.4, title, fontsize=10, va="bottom", linespacing=1.3)


def draw_frame(axes: Axes, left: float, top: float, width: float, height: float, i: int) -> None:
    """A coloured frame, drawn a little inside of its place."""
    place, size = (left + 0.06, top + 0.06), (width - 0.12, height - 0.12)
    axes.add_patch(Rectangle(place, *size, fill=False, edgecolor=COLOURS[i], linewidth=2))


def draw_product(figure, image, kernel, row, column, words) -> None:  # type: ignore[no-untyped-def]
    """One number of a convolution: image (H, W), the patch at (row, column), kernel, products."""
    size, axes = len(kernel), empty_page(figure, 37, 9.5)
    patch = image[row : row + size, column : column + size]
    axes.imshow(image, cmap="gray_r", extent=(0.5, 7.5, 9, 2), zorder=-1)
    axes.text(0.5, 1.6, words[0], fontsize=10, va="bottom")
    scale = 7 / len(image)
    draw_frame(axes, 0.5 + column * scale, 2 + row * scale, size * scale, size * scale, 1)
    for left, values, title in ((9, patch, 1), (16, kernel, 2), (23, patch * kernel, 3)):
        draw_cells(axes, values, left, 3, words[title])
    draw_frame(axes, 9, 3, size, size, 1)
    for x, sign in ((15, "×"), (22, "="), (29.5, "→")):
        axes.text(x, 5.5, sign, fontsize=16, ha="center", va="center")
    axes.text(30.5, 5.5, f"{words[4]} {(patch * kernel).sum():.1f}", fontsize=13, va="center")
    axes.set(xlim=(0, 37), ylim=(9.5, 0))


def draw_im2col(figure, image, kernel, words) -> None:  # type: ignore[no-untyped-def]
    """im2col of a 4 x 4 image for a 3 x 3 kernel, and the matrix product that follows."""
    axes = empty_page(figure, 37, 12.5)
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    columns = np.stack([image[i : i + 3, j : j + 3].ravel() for i, j in places], axis=1)
    row = kernel.reshape(1, -1)
    draw_cells(axes, image, 0.5, 4.5, words[0])
    axes.text(6.5, 1.6, words[1], fontsize=10, va="bottom", linespacing=1.3)
    draw_cells(axes, row, 16, 11.3, words[3])
    draw_cells(axes, columns, 26, 2, words[2])
    draw_cells(axes, row @ columns, 26, 11.3, "")
    draw_cells(axes, (row @ columns).reshape(2, 2), 33.5, 10.3, words[4])
    for number, (i, j) in enumerate(places):
        draw_cells(axes, columns[:, number].reshape(3, 3), 6.5 + 4 * j, 2 + 5 * i, "")
        draw_frame(axes, 6.5 + 4 * j, 2 + 5 * i, 3, 3, number)
        draw_frame(axes, 26 + number, 2, 1, 9, number)
        draw_frame(axes, 26 + number, 11.3, 1, 1, number)
        draw_frame(axes, 33.5 + j, 10.3 + i, 1, 1, number)
    for x, y in ((5.5, 6.5), (20.5, 6.5), (32, 11.3)):
        axes.text(x, y, "→", fontsize=16, ha="center", va="center")
