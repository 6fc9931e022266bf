// Training in the page: letters drawn at random from their templates, plain SGD, nothing else.

import { prepared } from "./framing.js";
import { Network } from "./network.js";
import { centred } from "./pen.js";

const BATCH = 16, RATE = 0.05; // images of a step; learning rate
const LEAN = 0.25, STRETCH = 0.25, SHAKE = 0.025; // deviations of a hand: of a map's numbers; of points, in letters

export class Training {
  losses = []; hits = []; // of each step: mean loss; of each image: whether it was read right before it was learned

  /** A network like the model's, its weights at random. letters: with `path`, the strokes of a template. */
  constructor(model, letters, seed = 1) {
    this.model = model;
    this.letters = letters;
    this.random = generator(seed);
    const size = model.network.layers.reduce((sum, table) => sum + parameters(table), 0);
    this.network = new Network(model, new Float32Array(size));
    for (const { weight, coefficient, inputs, kernel, channels } of this.network.layers) {
      const bound = Math.sqrt(6 / (inputs ?? (kernel ? kernel[0] * kernel[1] * channels : 1))); // He et al. 2015
      weight?.forEach((_, i) => { weight[i] = bound * (2 * this.random() - 1); });
      coefficient?.fill(1);
    }
  }

  /** A letter as a hand might write it: its place among the classes, and its levels. */
  draw() {
    const letter = this.letters[Math.floor(this.random() * this.letters.length)];
    const [a, b, c, d] = [STRETCH, LEAN, LEAN, STRETCH].map((each) => each * this.#normal());
    const strokes = letter.path.map((stroke) => {
      const [u, v] = [this.#normal(), this.#normal()].map((each) => 2 * SHAKE * each);
      return stroke.map(([x, y]) => [(1 + a) * x + b * y + u + SHAKE * this.#normal() / 2, c * x + (1 + d) * y + v + SHAKE * this.#normal() / 2]);
    });
    return { place: letter.place, levels: prepared(centred(strokes), this.model.preprocessing) };
  }

  /** Learn from batches of new letters without end; a pause after each letter. */
  *steps() {
    const { network: { numbers, slopes } } = this;
    while (true) {
      let sum = 0;
      slopes.fill(0);
      for (let i = 0; i < BATCH; i++) {
        const { place, levels } = this.draw(), { loss, read } = this.network.learn(levels, place);
        sum += loss;
        this.hits.push(read === place);
        yield;
      }
      for (let i = 0; i < numbers.length; i++) numbers[i] -= RATE / BATCH * slopes[i];
      this.losses.push(sum / BATCH);
    }
  }

  /** How many of the last 200 letters were read right, all of which were new. */
  get accuracy() {
    const last = this.hits.slice(-200);
    return last.filter(Boolean).length / last.length;
  }

  #normal() { return Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random()); }
}

function parameters({ kind, kernel, in_channels, out_channels, in_features, out_features, channels }) {
  if (kind === "conv2d") return out_channels * (in_channels * kernel[0] * kernel[1] + 1);
  return kind === "linear" ? out_features * (in_features + 1) : kind === "map_affine" ? 2 * channels : 0;
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
