"""The 33 letters as pen strokes: shapes only, as data.

Coordinates are fractions of the letter's box, x to the right, y down. A coordinate is a number, or
a span `(low, high)` where hands differ: each writing of the letter draws it from there. A letter
that people build in several ways lists these allographs, each with its share. Spans and allographs
were found by looking at AMHCD.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Coordinate = float | tuple[float, float]
Point = tuple[Coordinate, Coordinate]


@dataclass(frozen=True)
class Stroke:
    """One stroke of the pen.

    kind: "line" through `points`, "curve" through them, which turns softly at each, or "ring" from
    near its top, whose `points` are its centre and its radii. A dot is a tiny ring.
    """

    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Allograph:
    """One way to build a letter: its strokes, and its share relative to the other ways."""

    strokes: tuple[Stroke, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Shape:
    """A letter: its allographs, and the part of the frame that it fills.

    top: of the letter, as a fraction of the frame's height. stretched: the box is stretched to the
    frame in both directions, as in AMHCD; else it keeps its aspect and is centred.
    """

    allographs: tuple[Allograph, ...]
    top: float = 0.0
    stretched: bool = True


def line(*points: Point) -> Stroke:
    return Stroke("line", points)


def curve(*points: Point) -> Stroke:
    return Stroke("curve", points)


def ring(x: Coordinate, y: Coordinate, rx: Coordinate, ry: Coordinate) -> Stroke:
    return Stroke("ring", ((x, y), (rx, ry)))


def build(*strokes: Stroke, share: float = 1.0) -> Allograph:
    return Allograph(strokes, share)


def shape(*strokes: Stroke, top: float = 0.0, stretched: bool = True) -> Shape:
    """A letter that is built in one way."""
    return Shape((Allograph(strokes),), top, stretched)


def either(*allographs: Allograph) -> Shape:
    """A letter that is built in several ways and fills the frame."""
    return Shape(allographs)


def squeezed(strokes: tuple[Stroke, ...], right: Coordinate, top: Coordinate) -> list[Stroke]:
    """The same lines in the lower left part of the box, with space above and on the right."""

    def span(value: Coordinate) -> tuple[float, float]:
        return value if isinstance(value, tuple) else (value, value)

    (r0, r1), (t0, t1) = span(right), span(top)

    def place(point: Point) -> Point:
        (x0, x1), (y0, y1) = span(point[0]), span(point[1])
        return (x0 * r0, x1 * r1), (t0 + y0 * (1 - t0), t1 + y1 * (1 - t1))

    return [Stroke(each.kind, tuple(map(place, each.points))) for each in strokes]


_CIRCLE = ring(0.5, 0.5, 0.5, 0.5)
_BRACKET = line((1, 0), (0, 0), ((0.0, 0.15), 0.5), (0, 1), (1, 1))
_ROUND_BRACKET = curve((1, 0), (0.1, (0.0, 0.2)), (0, 0.5), (0.1, (0.8, 1.0)), (1, 1))
_TONGUE = line(((0.0, 0.3), (0.4, 0.6)), ((0.4, 1.0), (0.4, 0.6)))
_TONGUE_CROSS = line(((0.3, 0.75), (0.2, 0.36)), ((0.3, 0.75), (0.62, 0.8)))
_YAG = (line(((0.0, 0.1), 0), (1, 0)), line(((0.0, 0.1), 0), (1, 1)), line(((0.9, 1.0), 0), (0, 1)))
_YAK = (
    line((0, 0), ((0.0, 0.3), 1)),
    line((0, 0), (1, 0)),
    line((1, 0), ((0.0, 0.3), 1)),
    line(((0.35, 0.6), (0.42, 0.68)), (1, (0.75, 1.0))),
)
_RAISED_W = line(((0.68, 0.88), 0), ((0.7, 0.9), (0.1, 0.35)), (1, (0.1, 0.35)), (1, 0))
_UPPER_CURL = (((0.35, 0.7), (0.2, 0.4)), (0.95, (0.15, 0.3)), (0.9, 0), (0.3, 0.05))
_LOWER_CURL = ((0.3, 0.95), (0.9, 1), (0.95, (0.7, 0.85)), ((0.35, 0.7), (0.6, 0.8)))

_UP_ARMS = curve((0, 0), (0.1, (0.15, 0.3)), (0.5, (0.2, 0.5)), (0.9, (0.15, 0.3)), (1, 0))
_DOWN_ARMS = curve((0, 1), (0.1, (0.7, 0.85)), (0.5, (0.5, 0.8)), (0.9, (0.7, 0.85)), (1, 1))
_SQUARE_UP_ARMS = line((0, 0), (0.05, (0.25, 0.4)), (0.95, (0.25, 0.4)), (1, 0))
_CROSS_BAR = line(((-0.05, 0.3), (0.42, 0.6)), ((0.7, 1.05), (0.42, 0.6)))
_POST = line(((0.4, 0.6), (0.0, 0.15)), ((0.4, 0.6), (0.65, 1.0)))

SHAPES: Mapping[str, Shape] = {
    "ya": shape(_CIRCLE, top=0.5),  # ⴰ
    "yab": shape(_CIRCLE, line(((-0.05, 0.2), 0.5), ((0.8, 1.05), 0.5))),  # ⴱ
    "yach": either(  # ⵛ
        build(
            curve(((0.7, 0.9), (0.0, 0.1)), (0.25, 0.1), (0, 0.5), (0.2, 0.9), ((0.6, 0.8), 1)),
            ring((0.7, 0.9), (0.08, 0.2), (0.05, 0.25), (0.05, 0.18)),
            ring((0.7, 0.9), (0.8, 0.92), (0.05, 0.25), (0.05, 0.18)),
            share=2,
        ),
        build(curve(*_UPPER_CURL, (0, 0.5), *_LOWER_CURL)),  # one stroke, its ends curled in
    ),
    "yad": either(  # ⴷ
        build(line((0, 1), ((0.4, 0.65), 0), (1, 1)), share=3),
        build(curve((0, 1), (0.35, 0.55), (0.48, 0)), curve((0.48, 0), (0.65, 0.55), (1, 1))),
        build(curve((0, 1), (0.3, 0.25), (0.5, 0), (0.7, 0.25), (1, 1)), share=0.5),
    ),
    "yadd": either(build(_BRACKET, _TONGUE, share=4), build(_ROUND_BRACKET, _TONGUE)),  # ⴹ
    "yae": either(  # ⵄ
        build(
            line(((0.35, 0.65), 0), (0.5, (0.3, 0.65))),
            line((0, 1), (0.05, (0.2, 0.65)), (0.95, (0.2, 0.65)), (1, 1)),
            share=3,
        ),
        build(
            line((0.5, 0), (0.5, 0.5)),
            curve((0, 1), (0.08, 0.55), (0.5, 0.48), (0.92, 0.55), (1, 1)),
        ),
    ),
    "yaf": shape(  # ⴼ
        line((0, (0.0, 0.1)), ((0.2, 0.4), 0.05), ((0.2, 0.4), 0.95), (0, 1)),
        line((1, (0.0, 0.1)), ((0.6, 0.8), 0.05), ((0.6, 0.8), 0.95), (1, 1)),
        line(((0.25, 0.35), 0.5), ((0.65, 0.75), 0.5)),
    ),
    "yag": shape(*_YAG),  # ⴳ
    "yagh": either(  # ⵖ
        build(
            line((0, 0), (0.05, (0.35, 0.6)), (0.95, (0.35, 0.6)), (1, 0)),
            line((0.5, (0.4, 0.5)), (0.5, 1)),
            share=3,
        ),
        build(
            curve((0, 0), (0.08, 0.4), (0.5, 0.5), (0.92, 0.4), (1, 0)),
            line((0.5, (0.4, 0.5)), (0.5, 1)),
        ),
    ),
    "yagw": shape(*squeezed(_YAG, (0.5, 0.78), (0.0, 0.4)), _RAISED_W),  # ⴳⵯ
    "yah": shape(_CIRCLE, line((0.5, (-0.05, 0.2)), (0.5, (0.8, 1.05)))),  # ⵀ
    "yahh": either(  # ⵃ
        build(line(((0.6, 1.0), 0), (0, 1)), line(((0.3, 0.6), (0.35, 0.6)), (1, 1)), share=3),
        build(line(((0.0, 0.3), 0), (0, 1)), line(((0.0, 0.15), (0.4, 0.65)), (1, 1))),
    ),
    "yaj": shape(  # ⵊ
        line((0, 0), (1, 0)), line(((0.35, 0.65), 0), ((0.35, 0.65), 1)), line((0, 1), (1, 1))
    ),
    "yak": either(  # ⴽ
        build(*_YAK, share=4),
        build(
            line((0, 0), ((0.0, 0.2), 1)),
            line((0, 0), ((0.4, 0.8), 0)),
            line(((0.4, 0.8), 0), (0.1, (0.45, 0.65)), (1, (0.65, 1.0))),
        ),
    ),
    "yakw": shape(*squeezed(_YAK, (0.5, 0.78), (0.0, 0.4)), _RAISED_W),  # ⴽⵯ
    "yal": either(  # ⵍ
        build(
            line((0, 0), (0, 1)),
            line((1, 0), (1, 1)),
            line((0, (0.5, 1.0)), (1, (0.0, 0.5))),
            share=3,
        ),
        build(line((0, 0), ((0.15, 0.4), 1), ((0.55, 0.7), (0.0, 0.3)), ((0.75, 0.95), 1), (1, 0))),
        build(line((0, 1), (0.05, 0), (0.95, 1), (1, 0)), share=0.5),
    ),
    "yam": either(build(_BRACKET, share=4), build(_ROUND_BRACKET)),  # ⵎ
    "yan": shape(line((0.5, 0), (0.5, 1)), stretched=False),  # ⵏ
    "yaq": shape(_BRACKET, line((1, 0), ((0.0, 0.15), 1))),  # ⵇ
    "yar": shape(_CIRCLE),  # ⵔ
    "yarr": shape(  # ⵕ
        ring(0.46, 0.44, (0.4, 0.5), (0.33, 0.48)), line(((0.4, 0.7), (0.35, 0.7)), ((0.7, 1.0), 1))
    ),
    "yas": shape(_CIRCLE, ring((0.35, 0.65), (0.4, 0.7), (0.0, 0.12), (0.0, 0.12))),  # ⵙ
    "yass": shape(ring(0.43, 0.57, 0.43, 0.43), line(((0.35, 0.6), (0.4, 0.65)), (1, 0))),  # ⵚ
    "yat": shape(  # ⵜ
        line(((0.3, 0.7), 0), ((0.3, 0.7), 1)), line((0, (0.3, 0.65)), (1, (0.3, 0.65)))
    ),
    "yatt": either(  # ⵟ
        build(_BRACKET, _TONGUE, _TONGUE_CROSS, share=4),
        build(_ROUND_BRACKET, _TONGUE, _TONGUE_CROSS),
    ),
    "yaw": either(  # ⵡ
        build(line((0, 0), (0.05, (0.85, 1.0)), (0.95, (0.75, 1.0)), (1, 0)), share=3),
        build(curve((0, 0), (0.05, 0.8), (0.5, 1), (0.95, 0.8), (1, 0))),
    ),
    "yax": shape(  # ⵅ
        line((0, 0), (1, 1)), line((1, 0), (0, 1)), line((0.5, (0.0, 0.15)), (0.5, (0.4, 0.6)))
    ),
    "yay": either(  # ⵢ
        build(
            line(((0.5, 1.0), 0), ((0.0, 0.2), (0.1, 0.5)), ((0.8, 1.0), (0.35, 0.65)), (0, 1)),
            share=3,
        ),
        build(line(((0.1, 0.5), 0), ((0.1, 0.4), (0.25, 0.5)), (1, (0.05, 0.4)), (0, 1))),
    ),
    "yaz": either(  # ⵣ
        build(_UP_ARMS, _POST, _DOWN_ARMS, share=3),
        build(_SQUARE_UP_ARMS, _POST, _DOWN_ARMS, share=0.7),
    ),
    "yazz": either(  # ⵥ
        build(_UP_ARMS, _POST, _DOWN_ARMS, _CROSS_BAR, share=3),
        build(_UP_ARMS, _POST, _DOWN_ARMS, _CROSS_BAR, line((0.1, 0.6), (0.9, 0.6))),
    ),
    "yey": shape(  # ⴻ
        ring((0.35, 0.6), 0.17, (0.15, 0.4), (0.11, 0.19)),
        line((0, 0.5), (1, 0.5)),
        ring((0.35, 0.6), 0.83, (0.15, 0.4), (0.11, 0.19)),
    ),
    "yi": shape(line((1, 0), (0, (0.3, 0.45)), ((0.6, 1.0), 0.6), (0, (0.8, 1.0)), (1, 1))),  # ⵉ
    "yu": shape(  # ⵓ
        ring((0.45, 0.55), 0.2, (0.3, 0.5), (0.1, 0.21)),
        ring((0.45, 0.55), 0.8, (0.3, 0.5), (0.1, 0.21)),
    ),
}
