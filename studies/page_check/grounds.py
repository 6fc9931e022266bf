"""What lies under and on a sheet of paper: a desk, cloth, frames, tables; and a photo of it all."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lenet_xp.letters.alphabet import letters
from lenet_xp.letters.drawn_pages import INK_SHARE, Photo
from lenet_xp.pictures.frame import Box
from lenet_xp.system.opencv import cv2
from studies.page_check.written import Written

MARGIN = 0.12  # of the page's sides: ground around the paper
MAX_SHIFT = 0.16  # of the page's sides: how far perspective moves a corner inwards
MAX_TURN = 30.0  # degrees


def desk(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A desk of boards, (H, W) float32 grey levels: grain along them, knots, dark joints."""
    grain = np.zeros(shape, np.float32)
    for across, along, weight in ((1.2, 60, 14), (4, 160, 12), (14, 400, 10)):
        noise = rng.standard_normal(shape, np.float32)
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigmaX=along, sigmaY=across), np.float32)
        grain += weight * noise / noise.std()
    level, strength = rng.uniform(70, 170), rng.uniform(0.5, 1.2)
    wood = np.asarray(level + strength * grain, np.float32)
    joint = int(rng.uniform(0.15, 0.4) * shape[0])
    wood[joint :: max(joint, 60)] *= 0.5
    for _ in range(3):
        x, y = (int(rng.integers(side)) for side in shape[::-1])
        axes = int(rng.integers(8, 30)), int(rng.integers(5, 15))
        cv2.ellipse(wood, (x, y), axes, 0, 0, 360, float(rng.uniform(30, 70)), -1)
    return wood


def cloth(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Patterned cloth, (H, W) float32 grey levels: signs, stripes or checks, and its weave."""
    level, ink = rng.choice([(210, 60), (170, 40), (60, 200), (110, 190)])
    picture = np.full(shape, level, np.float32)
    step = int(rng.integers(40, 110))
    kind = rng.choice(["signs", "stripes", "checks"])
    for y in range(0, shape[0] + step, step):
        if kind != "signs":
            picture[y : y + step // 3] += 0.6 * (ink - level)
        for x in range(0, shape[1] + step, step if kind == "signs" else 10**6):
            place = x + int(rng.integers(step // 2)), y + int(rng.integers(step // 2))
            corners = int(rng.integers(3, 11))
            turns = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6)
            sizes = step * rng.uniform(0.12, 0.4) * (0.5 + 0.5 * (np.arange(corners) % 2))
            shape_of = np.stack([np.cos(turns), np.sin(turns)], 1) * sizes[:, None] + place
            if rng.random() < 0.6:
                cv2.fillPoly(picture, [shape_of.astype(np.int32)], float(ink))
            else:
                cv2.polylines(picture, [shape_of.astype(np.int32)], True, float(ink), 3)
    if kind == "checks":
        for x in range(0, shape[1], step):
            picture[:, x : x + step // 3] += 0.4 * (ink - level)
    weave = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 0.8)
    return np.asarray(np.clip(picture + 12 * weave, 5, 250))


def draw_frame(cover: np.ndarray, boxes: Sequence[Box], rng: np.random.Generator) -> None:
    """Draw a frame by hand around all boxes on a cover, in place."""
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes])
    gap = int(0.4 * np.median(corners[:, 3] - corners[:, 1]))
    left, top = np.maximum(corners[:, :2].min(0) - gap, 6)
    right, bottom = np.minimum(corners[:, 2:].max(0) + gap, np.array(cover.shape[::-1]) - 6)
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    points = points + rng.integers(-4, 5, points.shape)
    cv2.polylines(cover, [points.astype(np.int32)], True, 0.9, int(rng.integers(2, 5)), cv2.LINE_AA)


def draw_cells(cover: np.ndarray, written: Sequence[Written]) -> None:
    """Draw a table around the letters of a cover, in place: a row of cells for each line."""
    for number in {each.line for each in written}:
        row = [each.box for each in written if each.line == number]
        top, bottom = min(b[1] for b in row) - 8, max(b[1] + b[3] for b in row) + 8
        cuts = [(a[0] + a[2] + b[0]) // 2 for a, b in pairwise(row)]
        cuts = [row[0][0] - 12, *cuts, row[-1][0] + row[-1][2] + 12]
        for x in cuts:
            cv2.line(cover, (x, top), (x, bottom), 0.8, 2, cv2.LINE_AA)
        for y in (top, bottom):
            cv2.line(cover, (cuts[0], y), (cuts[-1], y), 0.8, 2, cv2.LINE_AA)


def print_captions(cover: np.ndarray, written: Sequence[Written]) -> None:
    """Print the Latin name of each letter of a cover below it, small, in place."""
    size = float(np.median([each.box[3] for each in written])) / 90
    ink = np.zeros(cover.shape, np.uint8)
    for each in written:
        left, top, _, height = each.box
        place, name = (left, int(top + height + 42 * size)), letters()[each.label].name
        cv2.putText(ink, name, place, cv2.FONT_HERSHEY_SIMPLEX, size, 230, 1, cv2.LINE_AA)
    np.maximum(cover, ink / np.float32(255), out=cover)


@dataclass(frozen=True)
class Scene:
    """How a page lies before the camera.

    ground: what is around the paper, or None where the paper fills the picture. turned: the most
    degrees either way. tilted: whether the camera looks at it from a side. pencil: whether what is
    written is faint.
    """

    ground: str | None = None
    turned: float = 0.0
    tilted: bool = False
    pencil: bool = False

    def take(
        self, cover: np.ndarray, written: Sequence[Written], rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Written]]:
        """The picture (H, W) uint8 of a cover, and its letters with their boxes in the picture."""
        photo = Photo.drawn(rng, 60)
        seen = cover.shape
        reach = cover.shape[1] // 2 if self.turned and not self.ground else 0
        cover = np.pad(cover, reach)  # a sheet so large that its edges are not seen
        paper = (
            Photo(photo.paper, ink=0.45 if self.pencil else photo.ink)
            .take(cover, rng)
            .astype(np.float32)
        )
        matrix, (width, height) = self._map(cover.shape, rng)
        outside = np.full((height, width), 235.0, np.float32)
        if self.ground:
            outside = {"desk": desk, "cloth": cloth}[self.ground]((height, width), rng)
        inside = cv2.warpPerspective(np.ones_like(cover), matrix, (width, height))
        scene = cv2.warpPerspective(paper, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if self.ground:
            shade = cv2.GaussianBlur(inside, (0, 0), 6)  # the shadow of the sheet's edge
            scene = inside * scene + (1 - inside) * outside * (1 - 0.4 * shade)
        light = Photo(gradient=photo.gradient, shadow=photo.shadow, ink=0)
        scene = scene * light.take(np.zeros_like(scene), rng) / 245
        scene = cv2.GaussianBlur(scene, (0, 0), max(photo.blur, 0.3))
        noise = min(photo.noise, 2.5) if self.pencil else photo.noise
        scene = scene + noise * rng.standard_normal(scene.shape, np.float32)
        picture: np.ndarray = np.clip(np.rint(scene), 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, photo.quality))
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
        boxes = [(e.box[0] + reach, e.box[1] + reach, *e.box[2:]) for e in written]
        boxes = [_moved(cover, box, matrix) for box in boxes]
        left, top = 0, 0
        if reach:
            left, top, wide, high = _moved(np.ones_like(cover), (reach, reach, *seen[::-1]), matrix)
            picture = picture[top : top + high, left : left + wide]
        return picture, [
            Written(e.label, e.line, (box[0] - left, box[1] - top, *box[2:]))
            for e, box in zip(written, boxes, strict=True)
        ]

    def _map(
        self, shape: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """The matrix (3, 3) from a page to its picture, and the picture's width and height."""
        height, width = shape
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        moved = corners.copy()
        if self.tilted:
            inwards = np.sign(corners.mean(0) - corners)
            moved += inwards * rng.uniform(0, MAX_SHIFT, (4, 2)) * (width, height)
        turn = np.radians(rng.uniform(-self.turned, self.turned))
        turning = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        moved = (moved - moved.mean(0)) @ turning
        margin = np.zeros((2, 2))
        if self.ground:
            margin = rng.uniform(-0.03, MARGIN, (2, 2)) * (width, height)  # the paper may be cut
            margin[margin < 0] = np.minimum(margin, 0)[margin < 0] * (not self.turned)
        start = moved.min(0) - margin[0]
        side = moved.max(0) + margin[1] - start
        matrix = cv2.getPerspectiveTransform(corners, (moved - start).astype(np.float32))
        return matrix, (int(side[0]), int(side[1]))


def _moved(cover: np.ndarray, box: Box, matrix: np.ndarray) -> Box:
    """The box of the ink within a box of a cover after a map (3, 3)."""
    left, top, width, height = box
    own = cover[top : top + height, left : left + width]
    y, x = np.nonzero(own > INK_SHARE * own.max())
    points = np.stack([x + left, y + top], 1).astype(np.float32)[:, None]
    low, high = (f(cv2.perspectiveTransform(points, matrix)[:, 0], 0) for f in (np.min, np.max))
    return (*np.floor(low).astype(int).tolist(), *np.ceil(high - low + 1).astype(int).tolist())
