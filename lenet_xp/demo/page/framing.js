// From strokes to the network's pixels, as lenet_xp/pictures does it with a drawing: the ink is
// cut to the letter, a bar is padded to a square, and the letter is stretched to the input.

const THRESHOLD = 85; // levels: ink is above a third of 255
const MIN_AREA = 12; // pixels of a piece of ink
const MIN_WEIGHT = 0.03, MIN_INNER_WEIGHT = 0.01, MIN_HALF_WEIGHT = 0.2; // of the heaviest piece
const MAX_GAP = 0.6, MAX_HALF_GAP = 1.6, MAX_ROUNDS = 8; // of its longer side; times that neighbours are added
const MIN_ASPECT = 1 / 3, MAX_BAR_ASPECT = 0.2, INK = 0.25;

/** What the network sees of ink, square uint8 levels bright on 0: uint8 in the order of its input, 0 if blank. */
export function prepared(ink, { size, framing, contrast, channels }) {
  const side = Math.sqrt(ink.length), whole = { levels: ink, wide: side, high: side };
  if (channels === 3) { // colours stay as they are: black on white
    const grey = resized({ ...whole, levels: ink.map((each) => 255 - each) }, size);
    return Uint8Array.of(...grey, ...grey, ...grey);
  }
  const letter = framing === "cut" ? cut(whole) : whole;
  if (!letter || !ink.some(Boolean)) return new Uint8Array(size * size);
  const result = resized(letter, size);
  return contrast ? stretched(result) : result;
}

/** The letter of a picture, or null: the heaviest piece of ink and those near it. */
function cut({ levels, wide, high }) {
  const labels = new Int32Array(levels.length), all = pieces(levels, wide, high, labels).map((each) => ({ ...each, chosen: false }));
  const possible = all.filter((each) => each.weight >= MIN_AREA);
  if (!possible.length) return null;
  const heaviest = possible.reduce((best, each) => each.weight > best.weight ? each : best);
  let box = heaviest.box;
  heaviest.chosen = true;
  const longer = Math.max(box.right - box.left, box.bottom - box.top);
  const inside = ({ box: b }) => b.left > heaviest.box.left && b.top > heaviest.box.top && b.right < heaviest.box.right && b.bottom < heaviest.box.bottom;
  let waiting = possible.filter((each) => !each.chosen && each.weight >= (inside(each) ? MIN_INNER_WEIGHT : MIN_WEIGHT) * heaviest.weight);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const gap = ({ box: b }) => Math.max(b.left - box.right, b.top - box.bottom, box.left - b.right, box.top - b.bottom);
    const near = waiting.filter((each) => gap(each) <= (each.weight >= MIN_HALF_WEIGHT * heaviest.weight ? MAX_HALF_GAP : MAX_GAP) * longer);
    if (!near.length) break;
    waiting = waiting.filter((each) => !near.includes(each));
    for (const each of near) {
      each.chosen = true;
      box = { left: Math.min(box.left, each.box.left), top: Math.min(box.top, each.box.top), right: Math.max(box.right, each.box.right), bottom: Math.max(box.bottom, each.box.bottom) };
    }
  }
  return padded(cropped(levels, wide, high, box, (at) => labels[at] && all[labels[at] - 1].chosen));
}

/** The connected pieces of ink, with their boxes and areas; `labels` gets each pixel's number, from 1. */
function pieces(levels, wide, high, labels) {
  const found = [], stack = [];
  for (let start = 0; start < levels.length; start++) {
    if (levels[start] <= THRESHOLD || labels[start]) continue;
    const box = { left: wide, top: high, right: 0, bottom: 0 };
    let weight = 0;
    labels[start] = found.length + 1;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop(), x = at % wide, y = (at - x) / wide;
      weight++;
      if (x < box.left) box.left = x;
      if (y < box.top) box.top = y;
      if (x >= box.right) box.right = x + 1;
      if (y >= box.bottom) box.bottom = y + 1;
      for (let v = Math.max(0, y - 1); v <= Math.min(high - 1, y + 1); v++) for (let u = Math.max(0, x - 1); u <= Math.min(wide - 1, x + 1); u++) {
        const next = v * wide + u;
        if (levels[next] <= THRESHOLD || labels[next]) continue;
        labels[next] = found.length + 1;
        stack.push(next);
      }
    }
    found.push({ box, weight });
  }
  return found;
}

/** The levels of a box, 0 further than a pixel from what is `chosen`. */
function cropped(levels, wide, high, { left, top, right, bottom }, chosen) {
  const result = { levels: new Uint8Array((right - left) * (bottom - top)), wide: right - left, high: bottom - top };
  for (let y = top, to = 0; y < bottom; y++) for (let x = left; x < right; x++, to++) {
    const at = y * wide + x;
    let near = false;
    if (levels[at]) for (let v = Math.max(0, y - 1); v <= Math.min(high - 1, y + 1); v++) for (let u = Math.max(0, x - 1); u <= Math.min(wide - 1, x + 1); u++) near ||= chosen(v * wide + u);
    if (near) result.levels[to] = levels[at];
  }
  return result;
}

/** A bar padded with 0 to a square; another shape as it is, to be stretched. */
function padded(ink) {
  const { levels, wide, high } = ink, side = Math.max(wide, high);
  if (Math.min(wide, high) >= MIN_ASPECT * side && !isSlantedBar(ink)) return ink;
  const result = new Uint8Array(side * side), down = Math.floor((side - high) / 2), across = Math.floor((side - wide) / 2);
  for (let y = 0; y < high; y++) result.set(levels.subarray(y * wide, (y + 1) * wide), (y + down) * side + across);
  return { levels: result, wide: side, high: side };
}

/** Whether the ink is one narrow stroke, whichever way it leans: the narrowest box around it, turned, is a bar. */
function isSlantedBar({ levels, wide, high }) {
  const least = INK * levels.reduce((a, b) => Math.max(a, b)), ends = [];
  for (let y = 0; y < high; y++) {
    let first = 0, last = wide - 1;
    while (first < wide && levels[y * wide + first] <= least) first++;
    while (last > first && levels[y * wide + last] <= least) last--;
    if (first < wide) ends.push([first, y], [last, y]);
  }
  const corners = hull(ends);
  let area = Infinity, sides = [0, 0];
  corners.forEach(([x, y], i) => {
    const [u, v] = corners[(i + 1) % corners.length], length = Math.hypot(u - x, v - y) || 1, [a, b] = [(u - x) / length, (v - y) / length];
    const extent = (c, d) => { const all = corners.map((each) => each[0] * c + each[1] * d); return Math.max(...all) - Math.min(...all); };
    const along = extent(a, b), across = extent(-b, a);
    if (along * across < area) [area, sides] = [along * across, [along, across]];
  });
  return Math.min(...sides) < MAX_BAR_ASPECT * Math.max(...sides);
}

/** The corners of the convex hull (Andrew's monotone chain). */
function hull(points) {
  const sorted = points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (from) => {
    const chain = [];
    for (const p of from) {
      const turnsBack = ([a, b], [c, d]) => (c - a) * (p[1] - b) - (d - b) * (p[0] - a) <= 0;
      while (chain.length > 1 && turnsBack(chain.at(-2), chain.at(-1))) chain.pop();
      chain.push(p);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half([...sorted].reverse())];
}

/** Levels stretched to size x size: by area where both sides shrink, else between neighbours; to OpenCV's last bit. */
function resized({ levels, wide, high }, size) {
  if (Math.max(wide, high) <= size) return mixed(levels, wide, between(wide, size), between(high, size));
  if (Math.min(wide, high) < size) return mixed(levels, wide, blocks(wide, size), blocks(high, size));
  const columns = areas(wide, size), result = new Uint8Array(size * size);
  areas(high, size).forEach((row, y) => {
    const sums = new Float32Array(size);
    for (const [from, down] of row) columns.forEach((column, x) => {
      let sum = 0;
      for (const [k, across] of column) sum = Math.fround(sum + levels[from * wide + k] * across);
      sums[x] += sum * down;
    });
    sums.forEach((each, x) => { result[y * size + x] = rint(each); });
  });
  return result;
}

/** For each new pixel along a side the old ones that it covers, with their shares. */
function areas(side, size) {
  const scale = side / size;
  return Array.from({ length: size }, (_, i) => {
    const start = i * scale, end = Math.min(start + scale, side), list = [];
    for (let k = Math.floor(start + 1e-3); k < end - 1e-3; k++) list.push([k, Math.fround((Math.min(end, k + 1) - Math.max(start, k)) / (end - start))]);
    return list;
  });
}

/** Each new pixel from two old ones across and two down, in whole numbers: shares in 1/2048. */
function mixed(levels, wide, columns, rows) {
  const across = (row) => columns.map(([k, next, share, rest]) => (levels[row * wide + k] * rest + levels[row * wide + next] * share) >> 4);
  return Uint8Array.from(rows.flatMap(([k, next, share, rest]) => {
    const [above, below] = [across(k), across(next)];
    return above.map((each, x) => (((rest * each) >> 16) + ((share * below[x]) >> 16) + 2) >> 2);
  }));
}

/** The two old pixels of each new one along a side, between whose middles it lies, and their shares. */
function between(side, size) {
  return Array.from({ length: size }, (_, i) => {
    const place = Math.fround((i + 0.5) * (side / size) - 0.5), first = Math.floor(place);
    return neighbours(side, first, place - first);
  });
}

/** The same where one side grows and the other shrinks. */
function blocks(side, size) {
  return Array.from({ length: size }, (_, i) => {
    const first = Math.floor(i * (side / size)), share = Math.fround(i + 1 - (first + 1) * (size / side));
    return neighbours(side, first, share <= 0 ? 0 : share - Math.floor(share));
  });
}

function neighbours(side, first, share) {
  const inside = (at) => Math.min(Math.max(at, 0), side - 1);
  return [inside(first), inside(first + 1), rint(Math.fround(share) * 2048), rint(Math.fround(1 - Math.fround(share)) * 2048)];
}

/** The least and the largest level become 0 and 255. */
function stretched(levels) {
  const low = levels.reduce((a, b) => Math.min(a, b)), span = levels.reduce((a, b) => Math.max(a, b)) - low;
  const scale = Math.fround(255 / Math.max(span, 1));
  return levels.map((each) => rint(Math.fround((each - low) * scale)));
}

/** The nearest whole number, of two the even one, as everywhere in Python. */
function rint(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
}
