// Pictures of numbers: what each layer makes of the input, orange below zero and blue above, and
// for the feature under the pointer the patch and the kernel that made it.

import { words } from "./words.js";

const MOST = 64; // maps of a layer: more are not shown
const MOST_PAIRS = 16; // patches with their kernels
const GAP = 1;
const SQUASHES = ["tanh", "scaled_tanh", "relu"];

export class Seeing {
  #network; #place; #lens; #seen; #saliency; #stages = []; #last = null; #ink; #colours;

  constructor(network, place) {
    const [seen, saliency] = ["seen", "saliency"].map((id) => document.getElementById(id));
    this.#network = network;
    this.#place = place;
    this.#lens = document.getElementById("lens");
    [this.#seen, this.#saliency] = [seen, saliency];
    for (const each of [seen, saliency]) [, each.height, each.width] = network.input;
    network.layers.forEach((layer, first) => {
      if (SQUASHES.includes(layer.kind) && this.#stages.length) this.#stages.at(-1).last = first + 1;
      else if (!["flatten", "rubbish"].includes(layer.kind)) this.#stages.push(this.#stage(layer, first));
    });
    this.#mix();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#mix();
      this.show(this.#last);
    });
  }

  /** A layer's figure. first: its number, last: that of its output once it is squashed. */
  #stage(layer, first) {
    const grid = gridOf(layer.shape), figure = document.createElement("figure"), map = document.createElement("div");
    const canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
    const stage = { ...grid, layer, first, last: first + 1, figure, map, canvas, caption, at: 0 };
    const id = document.getElementById(layer.name) ? `layer ${layer.name}` : layer.name; // a name may be that of a part of the page
    Object.assign(canvas, { id, width: grid.across * (grid.wide + GAP) - GAP, height: grid.down * (grid.high + GAP) - GAP, role: "img", tabIndex: 0 });
    map.className = "map";
    map.append(canvas);
    figure.append(map, caption);
    this.#place.lastElementChild.previousElementSibling.before(figure);
    for (const name of ["pointermove", "pointerdown"]) canvas.addEventListener(name, (event) => this.#point(stage, event));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.#explain(null); });
    canvas.addEventListener("focus", () => this.#explain(stage, true));
    canvas.addEventListener("blur", () => this.#explain(null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.wide, ArrowDown: grid.wide, PageUp: -grid.wide * grid.high, PageDown: grid.wide * grid.high }[event.key];
      if (!step) return;
      event.preventDefault();
      if (stage.at + step >= 0 && stage.at + step < grid.count) stage.at += step;
      this.#explain(stage, true);
    });
    return stage;
  }

  #mix() {
    this.#ink = ramp("--paper", "--ink");
    this.#colours = ramp("--map-lowest", "--map-low", "--map-zero", "--map-high", "--map-highest");
  }

  speak() {
    this.#explain(null);
    document.getElementById("size").textContent = this.#network.input.slice(this.#network.input[0] === 1 ? 1 : 0).join(" × ");
    for (const { layer, canvas, caption } of this.#stages) {
      const name = document.createElement("b"), size = layer.shape.join(" × ");
      name.textContent = layer.name === "output" ? words().output : layer.name;
      const count = layer.shape[0] > MOST && layer.shape.length > 1 ? `${MOST} / ${size}` : size;
      caption.replaceChildren(name, ` ${count} · ${words().kinds[layer.kind] ?? ""}`);
      canvas.ariaLabel = words().maps(layer.name, size);
    }
  }

  /** Show a reading's picture and what the network's layers hold of it; null, or a blank, shows paper. */
  show(reading) {
    this.#last = reading && !reading.blank && !reading.page ? reading : null;
    this.#explain(null);
    const { input: [channels, high, wide], values } = this.#network, size = high * wide, seen = this.#last?.seen ?? new Uint8Array(channels * size);
    const own = (_, i) => (255 << 24 | seen[2 * size + i] << 16 | seen[size + i] << 8 | seen[i]) >>> 0;
    const colours = channels === 3 && this.#last ? Uint32Array.from({ length: size }, own) : Uint32Array.from(seen.subarray(0, size), (each) => this.#ink[each]);
    put(this.#seen, [{ colours, left: 0, top: 0, wide }]);
    const slope = this.#last ? this.#network.saliency(this.#last.readings[0].place) : new Float64Array(channels * size);
    const strongest = slope.slice(0, size).map((each, i) => {
      for (let at = i + size; at < slope.length; at += size) if (Math.abs(slope[at]) > Math.abs(each)) each = slope[at];
      return each;
    });
    this.#tiles(this.#saliency, strongest, { across: 1, wide, high });
    for (const stage of this.#stages) this.#tiles(stage.canvas, this.#last ? values[stage.last] : new Float64Array(stage.count), stage);
  }

  /** Numbers as maps side by side, all on one scale. */
  #tiles(canvas, values, { across, wide, high, shown = 1 }) {
    const size = wide * high, limit = largest(values);
    put(canvas, Array.from({ length: shown }, (_, i) => ({
      colours: Uint32Array.from(values.subarray(i * size, (i + 1) * size), (each) => this.#colour(each, limit)),
      left: (i % across) * (wide + GAP), top: Math.floor(i / across) * (high + GAP), wide,
    })));
  }

  #colour(value, limit) { return this.#colours[Math.round(127.5 + 127.5 * value / limit)]; }

  #point(stage, event) {
    const box = stage.canvas.getBoundingClientRect(), { across, wide, high, shown, count } = stage;
    const x = Math.floor((event.clientX - box.left) / box.width * stage.canvas.width), y = Math.floor((event.clientY - box.top) / box.height * stage.canvas.height);
    const map = Math.floor(y / (high + GAP)) * across + Math.floor(x / (wide + GAP)); // a gap counts as the map before it
    const at = (map * high + Math.min(y % (high + GAP), high - 1)) * wide + Math.min(x % (wide + GAP), wide - 1);
    if (map >= shown || at >= count || x < 0 || y < 0) return;
    stage.at = at;
    this.#explain(stage);
  }

  /** Show what made a stage's feature: marks where it looked, and the patches with their kernels; null tells how to ask. */
  #explain(stage, aloud = false) {
    for (const each of document.querySelectorAll("#layers .mark")) each.remove();
    this.#lens.lastElementChild.hidden = !stage || !this.#last;
    this.#lens.firstElementChild.textContent = words().networkHelp;
    if (!stage || !this.#last) return;
    const { layer, at, wide, high, last, first } = stage, values = this.#network.values;
    const place = { map: Math.floor(at / (wide * high)), top: Math.floor(at / wide) % high, left: at % wide };
    const source = this.#stages[this.#stages.indexOf(stage) - 1], grid = source ?? gridOf(this.#network.input);
    const flat = layer.shape.length === 1, maps = flat || layer.kind === "conv2d" ? [...Array(grid.shown).keys()] : [place.map];
    const box = flat ? { top: 0, left: 0, bottom: grid.high, right: grid.wide } : looked(layer, { ...place, bottom: place.top + 1, right: place.left + 1 });
    mark(stage, place.map, { ...place, bottom: place.top + 1, right: place.left + 1 });
    if (source) for (const map of maps) mark(source, map, box);
    let field = flat ? null : box;
    for (let i = first - 1; field && i >= 0; i--) field = looked(this.#network.layers[i], field);
    for (const canvas of [this.#seen, this.#saliency]) if (field) mark({ map: canvas.parentElement, canvas, ...gridOf(this.#network.input) }, 0, field);
    const size = grid.wide * grid.high, pairs = maps.slice(0, MOST_PAIRS).map((map, i) => {
      const patch = [], kernel = [];
      for (let y = box.top; y < box.bottom; y++) for (let x = box.left; x < box.right; x++) {
        const inside = y >= 0 && x >= 0 && y < grid.high && x < grid.wide, from = map * size + y * grid.wide + x;
        patch.push(inside ? values[first][from] ?? 0 : 0);
        kernel.push(weight(layer, flat ? at : place.map, flat ? from : map, (y - box.top) * (box.right - box.left) + x - box.left));
      }
      return { patch: Float64Array.from(patch), kernel: Float64Array.from(kernel), i };
    });
    this.#draw(pairs, box.right - box.left, box.bottom - box.top);
    const number = (value) => value.toFixed(2).replace("-", "−");
    const summed = ["conv2d", "linear", "map_affine"].includes(layer.kind), result = number(values[last][at]);
    const told = summed ? words().made(layer.name, place.map + 1, number(values[first + 1][at]), result) : `${layer.name}, ${place.map + 1}: ${result}`;
    this.#lens.firstElementChild.textContent = told;
    if (aloud) document.getElementById("spoken").textContent = told;
  }

  /** The patches in a row, their kernels below. */
  #draw(pairs, wide, high) {
    const canvas = this.#lens.lastElementChild, across = Math.max(1, Math.min(pairs.length, Math.floor(90 / wide))), down = Math.ceil(pairs.length / across);
    const [x, y] = [wide + GAP, 2 * high + 2 * GAP];
    canvas.width = across * x - GAP;
    canvas.height = down * y - GAP;
    canvas.style.width = `${Math.min(8, 320 / canvas.width) * canvas.width}px`;
    const limits = ["patch", "kernel"].map((which) => largest(pairs.flatMap((each) => [...each[which]])));
    put(canvas, pairs.flatMap(({ patch, kernel, i }) => [patch, kernel].map((values, k) => ({
      colours: Uint32Array.from(values, (each) => this.#colour(each, limits[k])), left: (i % across) * x, top: Math.floor(i / across) * y + k * (high + GAP), wide,
    }))));
  }
}

/** How values of a shape lie in a picture: maps side by side, dense values in rows of one map. */
function gridOf(shape) {
  const count = shape.reduce((a, b) => a * b);
  if (shape.length === 3) {
    const [maps, high, wide] = shape, shown = Math.min(maps, MOST), across = Math.min(shown, shown > 16 ? 16 : 8);
    return { count, shown, high, wide, across, down: Math.ceil(shown / across) };
  }
  const wide = count <= 40 ? count : count % 28 ? 40 : 28;
  return { count, shown: 1, high: Math.ceil(count / wide), wide, across: 1, down: 1 };
}

/** Where in its input a layer looked for a box of its output. */
function looked({ kind, kernel, stride = 1, padding = 0, size = 1 }, { top, left, bottom, right }) {
  if (kind === "conv2d") return { top: top * stride - padding, left: left * stride - padding, bottom: (bottom - 1) * stride - padding + kernel[0], right: (right - 1) * stride - padding + kernel[1] };
  return { top: top * size, left: left * size, bottom: bottom * size, right: right * size };
}

/** What a layer multiplies a place of a patch by. from: the input map, or of dense layers the input. */
function weight(layer, output, from, place) {
  if (layer.kind === "conv2d") return layer.weight[(output * layer.channels + from) * layer.kernel[0] * layer.kernel[1] + place];
  if (layer.kind === "linear") return layer.weight[output * layer.inputs + from] ?? 0;
  if (layer.kind === "codes") return layer.codes[output][from] ?? 0;
  if (layer.kind === "map_affine") return layer.coefficient[output];
  return layer.kind === "avgpool2d" ? 1 / layer.size ** 2 : 0; // a maximum and an activation weigh nothing
}

/** A frame around a box of a map, in a figure's picture. */
function mark({ map: place, canvas, across, wide, high }, map, { top, left, bottom, right }) {
  const frame = document.createElement("i"), part = (value, whole) => `${100 * value / whole}%`;
  const [x, y] = [(map % across) * (wide + GAP), Math.floor(map / across) * (high + GAP)], [first, above] = [Math.max(0, left), Math.max(0, top)];
  frame.className = "mark";
  Object.assign(frame.style, {
    left: part(x + first, canvas.width), top: part(y + above, canvas.height),
    width: part(Math.min(right, wide) - first, canvas.width), height: part(Math.min(bottom, high) - above, canvas.height),
  });
  place.append(frame);
}

export const largest = (values) => values.reduce((most, each) => Math.max(most, Math.abs(each)), 0) || 1;

/** 256 colours between the page's own, evenly spaced, as pixels are stored. */
export function ramp(...names) {
  const style = getComputedStyle(document.documentElement);
  const ends = names.map((name) => style.getPropertyValue(name).trim().slice(1).match(/../g).map((each) => parseInt(each, 16)));
  const bytes = new Uint8ClampedArray(4 * 256).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (ends.length - 1), low = Math.min(Math.floor(at), ends.length - 2);
    bytes.set(ends[low].map((each, k) => each + (at - low) * (ends[low + 1][k] - each)), 4 * i);
  }
  return new Uint32Array(bytes.buffer);
}

/** Put tiles of colours in their places. */
export function put(canvas, tiles) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
  for (const { colours, left, top, wide } of tiles) for (let i = 0; i < colours.length; i += wide) pixels.set(colours.subarray(i, i + wide), (top + i / wide) * canvas.width + left);
  context.putImageData(image, 0, 0);
}
