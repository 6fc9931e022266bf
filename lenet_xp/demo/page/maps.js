// Pictures of numbers: the input in ink, the maps orange below zero and blue above.

import { levels } from "./reading.js";
import { words } from "./words.js";

const LAYERS = [["C1", 6, 28, 6], ["S2", 6, 14, 6], ["C3", 16, 10, 8], ["S4", 16, 5, 8]]; // maps, side, in a row
const GAP = 1;

export class Maps {
  #seen; #canvases = {}; #last = null; #ink; #colours;

  constructor(seen, place) {
    this.#seen = seen;
    this.#mix();
    for (const [name, count, side, across] of LAYERS) {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption"), bold = document.createElement("b");
      canvas.width = across * (side + GAP) - GAP;
      canvas.height = Math.ceil(count / across) * (side + GAP) - GAP;
      canvas.role = "img";
      canvas.id = name;
      bold.textContent = name;
      caption.append(bold, ` ${count} × ${side} × ${side}`);
      figure.append(canvas, caption);
      place.lastElementChild.before(figure);
      this.#canvases[name] = { canvas, count, side, across };
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#mix();
      this.show(this.#last);
    });
  }

  #mix() {
    this.#ink = ramp("--paper", "--ink");
    this.#colours = ramp("--map-lowest", "--map-low", "--map-zero", "--map-high", "--map-highest");
  }

  speak() {
    for (const [name, { canvas, count, side }] of Object.entries(this.#canvases)) canvas.ariaLabel = words().maps(name, count, side);
  }

  /** Show a reading's picture and maps; null, or a blank picture, shows paper. */
  show(reading) {
    this.#last = reading;
    const seen = reading && !reading.blank ? levels(reading.seen, Uint8Array).values : new Uint8Array(32 * 32);
    draw(this.#seen, [{ values: seen, left: 0, top: 0, side: 32 }], this.#ink, 0);
    const given = Object.fromEntries((reading?.maps ?? []).map((each) => [each.name, each]));
    for (const [name, { canvas, count, side, across }] of Object.entries(this.#canvases)) {
      const values = given[name] ? levels(given[name], Int8Array).values : new Int8Array(count * side * side);
      const tiles = Array.from({ length: count }, (_, i) => ({
        values: values.subarray(i * side * side, (i + 1) * side * side),
        left: (i % across) * (side + GAP), top: Math.floor(i / across) * (side + GAP), side,
      }));
      draw(canvas, tiles, this.#colours, 128);
    }
  }
}

/** 256 colours between the page's own, evenly spaced, as pixels are stored. */
function ramp(...names) {
  const style = getComputedStyle(document.documentElement);
  const ends = names.map((name) => style.getPropertyValue(name).trim().slice(1).match(/../g).map((each) => parseInt(each, 16)));
  const bytes = new Uint8ClampedArray(4 * 256).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (ends.length - 1), low = Math.min(Math.floor(at), ends.length - 2);
    bytes.set(ends[low].map((each, k) => each + (at - low) * (ends[low + 1][k] - each)), 4 * i);
  }
  return new Uint32Array(bytes.buffer);
}

/** Tiles of levels in their places; `zero` is the number of the colour for level 0. */
function draw(canvas, tiles, colours, zero) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (const { values, left, top, side } of tiles) {
    for (let y = 0, i = 0; y < side; y++) {
      for (let place = (top + y) * canvas.width + left, end = place + side; place < end; place++, i++) pixels[place] = colours[values[i] + zero];
    }
  }
  context.putImageData(image, 0, 0);
}
