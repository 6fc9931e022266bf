// Pictures of numbers: the input in ink, the maps orange below zero and blue above.

import { levels } from "./reading.js";
import { words } from "./words.js";

const LENET = [["C1", 6, 28, 28], ["S2", 6, 14, 14], ["C3", 16, 10, 10], ["S4", 16, 5, 5]]; // laid out before the first reading: maps, height, width
const GAP = 1;

export class Maps {
  #seen; #place; #canvases = []; #laid = ""; #last = null; #ink; #colours;

  constructor(seen, place) {
    this.#seen = seen;
    this.#place = place;
    this.#mix();
    this.#lay(LENET);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#mix();
      this.show(this.#last);
    });
  }

  /** Lay out empty maps of these layers, if they are not laid out already. */
  #lay(layers) {
    const key = JSON.stringify(layers);
    if (key === this.#laid) return;
    this.#laid = key;
    for (const { canvas } of this.#canvases) canvas.parentElement.remove();
    this.#canvases = layers.map(([name, shown, high, wide, count = shown]) => {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption"), bold = document.createElement("b");
      const across = Math.min(shown, shown > 16 ? 16 : 8);
      canvas.width = across * (wide + GAP) - GAP;
      canvas.height = Math.ceil(shown / across) * (high + GAP) - GAP;
      canvas.role = "img";
      canvas.id = name;
      bold.textContent = name;
      caption.append(bold, ` ${shown < count ? `${shown} / ` : ""}${count} × ${high} × ${wide}`);
      figure.append(canvas, caption);
      this.#place.lastElementChild.before(figure);
      return { name, canvas, shown, high, wide, across };
    });
  }

  #mix() {
    this.#ink = ramp("--paper", "--ink");
    this.#colours = ramp("--map-lowest", "--map-low", "--map-zero", "--map-high", "--map-highest");
  }

  speak() {
    for (const { name, canvas, shown, high, wide } of this.#canvases) canvas.ariaLabel = words().maps(name, shown, high, wide);
  }

  /** Show a reading's picture and maps; null, or a blank picture, shows paper. */
  show(reading) {
    this.#last = reading;
    const known = reading && !reading.blank ? reading : null;
    if (known) this.#lay(known.maps.map(({ name, shape, count }) => [name, ...shape, count]));
    this.speak();
    this.#show(known?.seen);
    for (const [number, { canvas, shown, high, wide, across }] of this.#canvases.entries()) {
      const size = high * wide, values = known ? levels(known.maps[number], Int8Array).values : new Int8Array(shown * size);
      const tiles = Array.from({ length: shown }, (_, i) => ({
        values: values.subarray(i * size, (i + 1) * size),
        left: (i % across) * (wide + GAP), top: Math.floor(i / across) * (high + GAP), wide,
      }));
      draw(canvas, tiles, this.#colours, 128);
    }
  }

  /** Show what the network sees: ink on paper, or colours; without it, paper. */
  #show(seen) {
    const [high, wide, channels] = seen?.shape ?? [this.#seen.height, this.#seen.width];
    const given = seen ? levels(seen, Uint8Array).values : new Uint8Array(high * wide);
    this.#seen.height = high;
    this.#seen.width = wide;
    this.#seen.nextElementSibling.lastChild.textContent = ` ${high} × ${wide}`;
    const own = (_, k) => (255 << 24 | given[3 * k + 2] << 16 | given[3 * k + 1] << 8 | given[3 * k]) >>> 0;
    const colours = channels ? Uint32Array.from({ length: high * wide }, own) : this.#ink;
    draw(this.#seen, [{ values: channels ? [...colours.keys()] : given, left: 0, top: 0, wide }], colours, 0);
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
  for (const { values, left, top, wide } of tiles) {
    for (let y = 0, i = 0; i < values.length; y++) {
      for (let place = (top + y) * canvas.width + left, end = place + wide; place < end; place++, i++) pixels[place] = colours[values[i] + zero];
    }
  }
  context.putImageData(image, 0, 0);
}
