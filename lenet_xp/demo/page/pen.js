// Strokes as ink. A stroke is a list of [x, y], y down, in parts of the paper.

export const SIDE = 256; // pixels of the picture that is framed
const LONGER = 150, THIN = 6; // pixels: the writing's longer side and the pen, always the same
const STEP = 0.05; // of a letter's frame: between the points of a template
const LEAST = 0.08; // parts of the paper: smaller writing is a dot

export function boxOf(strokes) {
  const box = { left: 1, right: 0, top: 1, bottom: 0 };
  for (const [x, y] of strokes.flat()) {
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return box;
}

/** The writing in the middle of a picture: uint8 levels, ink bright on 0. */
export function centred(strokes) {
  const { left, right, top, bottom } = boxOf(strokes), scale = LONGER / Math.max(right - left, bottom - top, LEAST);
  return inked(strokes, SIDE, THIN, ([x, y]) => [(x - (left + right) / 2) * scale + SIDE / 2, (y - (top + bottom) / 2) * scale + SIDE / 2]);
}

/** A letter as AMHCD frames it: stretched to 64 x 64 pixels, a bar in the middle, ya in the lower half. */
export function framed(strokes, name) {
  const side = 64, pen = 3, { left, right, top, bottom } = boxOf(strokes), [wide, high] = [right - left, bottom - top].map((each) => Math.max(each, 1e-3));
  const head = name === "ya" ? side / 2 : 0, room = side - pen;
  const scale = [room / wide, (room - head) / high];
  if (Math.min(wide, high) * 3 < Math.max(wide, high)) scale.fill(Math.min(...scale));
  return inked(strokes, side, pen, ([x, y]) => [(x - (left + right) / 2) * scale[0] + side / 2, (y - (top + bottom) / 2) * scale[1] + (side + head) / 2]);
}

/** Strokes as square levels: how much of a pixel the pen covers, by its distance from the line. */
function inked(strokes, side, pen, place) {
  const levels = new Uint8Array(side * side), reach = pen / 2 + 0.5;
  for (const stroke of strokes) {
    const points = smooth(stroke).map(place);
    for (let i = 0; i < Math.max(1, points.length - 1); i++) {
      const [ax, ay] = points[i], [bx, by] = points[i + 1] ?? points[i], [dx, dy] = [bx - ax, by - ay], length = dx * dx + dy * dy || 1;
      const inside = (value) => Math.min(side, Math.max(0, value));
      const rows = [inside(Math.floor(Math.min(ay, by) - reach)), inside(Math.ceil(Math.max(ay, by) + reach))];
      const columns = [inside(Math.floor(Math.min(ax, bx) - reach)), inside(Math.ceil(Math.max(ax, bx) + reach))];
      for (let y = rows[0]; y < rows[1]; y++) for (let x = columns[0]; x < columns[1]; x++) {
        const px = x + 0.5 - ax, py = y + 0.5 - ay, along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const square = (px - along * dx) ** 2 + (py - along * dy) ** 2;
        if (square >= reach * reach) continue;
        const level = Math.round(255 * Math.min(1, reach - Math.sqrt(square)));
        if (level > levels[y * side + x]) levels[y * side + x] = level;
      }
    }
  }
  return levels;
}

/** A stroke through the middles between its points, which is smooth where the hand was. */
export function smooth(points) {
  const result = [points[0]];
  for (let i = 1; i < points.length - 1; i++) {
    const [a, b] = result.at(-1), [x, y] = points[i], [u, v] = points[i + 1], [c, d] = [(x + u) / 2, (y + v) / 2];
    for (let t = 0.25; t <= 1; t += 0.25) result.push([(1 - t) ** 2 * a + 2 * t * (1 - t) * x + t * t * c, (1 - t) ** 2 * b + 2 * t * (1 - t) * y + t * t * d]);
  }
  if (points.length > 1) result.push(points.at(-1));
  return result;
}

/** The points of a template's stroke: round ones, and straight ones so close that corners stay sharp. */
export function path([kind, points]) {
  if (kind === "ring") return Array.from({ length: 25 }, (_, i) => [points[0][0] + points[1][0] * Math.sin(i * Math.PI / 12), points[0][1] - points[1][1] * Math.cos(i * Math.PI / 12)]);
  const between = points.flatMap(([x, y], i) => {
    const [u, v] = points[i - 1] ?? [x, y], count = Math.max(1, Math.ceil(Math.hypot(x - u, y - v) / STEP));
    return Array.from({ length: count }, (_, k) => [u + (x - u) * (k + 1) / count, v + (y - v) * (k + 1) / count]);
  });
  return kind === "line" ? between : smooth(points);
}
