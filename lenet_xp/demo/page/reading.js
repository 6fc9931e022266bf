// What a picture shows: the page's own network, or for a photo the server that finds its letters.

import { prepared } from "./framing.js";
import { Network, shared } from "./network.js";
import { centred } from "./pen.js";

const TOP = 5, RING = ["ya", "yar"];

/** The model and its reader, from the files beside this one. */
export async function loaded() {
  const [model, numbers] = await Promise.all([
    fetch("model.json").then((each) => each.json()),
    fetch("model.bin").then((each) => each.arrayBuffer())]);
  return new Reader(model, new Float32Array(numbers));
}

export class Reader {
  constructor(model, numbers) {
    this.model = model;
    this.network = new Network(model, numbers);
    this.letters = model.class_names.map((name, i) => ({ name, glyph: model.glyphs[i], latin: model.latin[i], template: model.templates[name], place: i }));
    this.refuses = this.network.layers.at(-1).kind === "rubbish";
  }

  /** The reading of strokes, height letters high. */
  drawing(strokes, height) { return this.#read(prepared(centred(strokes), this.model.preprocessing), height); }

  /** The reading of a photo's bytes, or what the server says is wrong: { error }, null where it says nothing. */
  async photo(file) {
    let answer;
    try {
      const response = await fetch("read", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      answer = await response.json();
      if (!response.ok) return answer;
    } catch { return { error: null }; }
    return answer.page ? answer : this.#read(Uint8Array.from(atob(answer.seen), (each) => each.charCodeAt(0)), null);
  }

  #read(seen, height) {
    if (!seen.some(Boolean)) return { blank: true, seen, readings: [] };
    const plain = this.network.read(seen), letters = plain.reduce((a, b) => a + b, 0);
    const probabilities = shared(plain, this.model.class_names, height);
    const all = this.letters.map((each, i) => ({ ...each, probability: probabilities[i] })).sort((a, b) => b.probability - a.probability || a.place - b.place);
    const readings = all.slice(0, TOP);
    if (RING.includes(readings[0].name)) { // both rings are shown
      const rest = all.slice(TOP).filter((each) => RING.includes(each.name));
      readings.splice(TOP - rest.length, TOP, ...rest);
    }
    return { seen, readings, sized: height !== null, none: letters < this.model.threshold, rest: this.refuses ? Math.max(0, 1 - letters) : null };
  }
}
