// Training as one watches it: the loss, and the kernels of the first layer.

import { path } from "./pen.js";
import { largest, put, ramp } from "./seeing.js";
import { Training } from "./training.js";
import { percent, words } from "./words.js";

const SLICE = 10; // ms of training between two frames
const SMOOTH = 10; // steps: of which the mean is drawn
const at = (id) => document.getElementById(id);

export class Lesson {
  #training = null; #steps; #frame = 0; #reader;

  constructor(reader) {
    this.#reader = reader;
    // A network of codes wants rates of its own, which plain SGD has not.
    const codes = reader.model.network.layers.some((each) => each.kind === "codes");
    at("train").closest("section").hidden = codes || !reader.letters.some((each) => each.template);
    at("train").addEventListener("click", () => this.#toggle());
  }

  speak() {
    at("train").textContent = this.#frame ? words().stop : words().start;
    if (this.#training?.losses.length) this.#tell();
  }

  #toggle() {
    if (!this.#training) {
      const letters = this.#reader.letters.filter((each) => each.template).map((each) => ({ ...each, path: each.template.map(path) }));
      this.#training = new Training(this.#reader.model, letters);
      this.#steps = this.#training.steps();
    }
    if (this.#frame) cancelAnimationFrame(this.#frame);
    this.#frame = this.#frame ? 0 : requestAnimationFrame(() => this.#run());
    this.speak();
  }

  #run() {
    const until = performance.now() + SLICE, done = this.#training.losses.length;
    do this.#steps.next(); while (performance.now() < until);
    if (this.#training.losses.length > done) this.#show();
    this.#frame = requestAnimationFrame(() => this.#run());
  }

  #show() {
    at("lesson").hidden = false;
    this.#tell();
    this.#curve();
    const { weight, maps, channels, kernel: [high, wide] = [] } = this.#training.network.layers.find((each) => each.kind === "conv2d") ?? {};
    at("kernels").parentElement.hidden = !weight;
    if (!weight) return;
    const colours = ramp("--map-lowest", "--map-low", "--map-zero", "--map-high", "--map-highest"), limit = largest(weight), size = high * wide;
    const shown = Math.min(maps, 16);
    Object.assign(at("kernels"), { width: shown * (wide + 1) - 1, height: high });
    put(at("kernels"), Array.from({ length: shown }, (_, i) => ({
      colours: Uint32Array.from(weight.subarray(i * channels * size, i * channels * size + size), (each) => colours[Math.round(127.5 + 127.5 * each / limit)]), left: i * (wide + 1), top: 0, wide,
    })));
  }

  #tell() {
    const { hits, losses, accuracy } = this.#training, last = losses.slice(-SMOOTH);
    at("learned").textContent = words().learned(hits.length, (last.reduce((a, b) => a + b, 0) / last.length).toFixed(2), percent(accuracy));
  }

  /** The loss of each step, from that of guessing at the top to 0. */
  #curve() {
    const canvas = at("curve"), context = canvas.getContext("2d"), { losses } = this.#training, top = Math.log(this.#reader.letters.length) * 1.1;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--map-high");
    context.lineWidth = 3;
    context.beginPath();
    for (let x = 0; x <= canvas.width; x += 2) {
      const end = Math.max(1, Math.round(x / canvas.width * losses.length)), part = losses.slice(Math.max(0, end - SMOOTH), end);
      context.lineTo(x, canvas.height * (1 - Math.min(1, part.reduce((a, b) => a + b, 0) / part.length / top)));
    }
    context.stroke();
  }
}
