// Pictures of numbers: the input in ink, the maps orange below zero and blue above.

import { levels } from "./reading.js";
import { words } from "./words.js";

const LAYERS = [["C1", 6, 28, 6], ["S2", 6, 14, 6], ["C3", 16, 10, 8], ["S4", 16, 5, 8]]; // maps, side, in a row
const GAP = 1;

export class Maps {
  #seen; #canvases = {}; #last = null;

  constructor(seen, place) {
    this.#seen = seen;
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
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.#last));
  }

  speak() {
    for (const [name, { canvas, count, side }] of Object.entries(this.#canvases)) canvas.ariaLabel = words().maps(name, count, side);
  }

  /** Show a reading's picture and maps; null, or a blank picture, shows paper. */
  show(reading) {
    this.#last = reading;
    const seen = reading && !reading.blank ? levels(reading.seen, Uint8Array).values : new Uint8Array(32 * 32);
    draw(this.#seen, [{ values: seen, left: 0, top: 0, side: 32 }], ramp("--paper", "--ink"), 0);
    const colours = ramp("--map-lowest", "--map-low", "--map-zero", "--map-high", "--map-highest");
    const given = Object.fromEntries((reading?.maps ?? []).map((each) => [each.name, each]));
    for (const [name, { canvas, count, side, across }] of Object.entries(this.#canvases)) {
      const values = given[name] ? levels(given[name], Int8Array).values : new Int8Array(count * side * side);
      const tiles = Array.from({ length: count }, (_, i) => ({
        values: values.subarray(i * side * side, (i + 1) * side * side),
        left: (i % across) * (side + GAP), top: Math.floor(i / across) * (side + GAP), side,
      }));
      draw(canvas, tiles, colours, 128);
    }
  }
}

/** 256 colours between the page's own, evenly spaced. */
function ramp(...names) {
  const style = getComputedStyle(document.documentElement);
  const ends = names.map((name) => style.getPropertyValue(name).trim().slice(1).match(/../g).map((each) => parseInt(each, 16)));
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (ends.length - 1), low = Math.min(Math.floor(at), ends.length - 2);
    return ends[low].map((each, k) => each + (at - low) * (ends[low + 1][k] - each));
  });
}

function draw(canvas, tiles, colours, zero) {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  for (const { values, left, top, side } of tiles) {
    for (let i = 0; i < values.length; i++) {
      const place = 4 * ((top + Math.floor(i / side)) * canvas.width + left + (i % side));
      image.data.set(colours[values[i] + zero], place);
      image.data[place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
