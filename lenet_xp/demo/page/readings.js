// The five likeliest letters with their bars, a remark, and one calm sentence for screen readers.

import { percent, words } from "./words.js";

const SURE = 0.6;
const CALM = 700; // ms without a change before the reading is spoken
const ROWS = 5;
const at = (id) => document.getElementById(id);

export class Readings {
  #rows = Array.from({ length: ROWS + 1 }, row); #last = null; #timer = 0; #refuses;

  /** refuses: whether the network knows what is no letter; the last row is for it. */
  constructor(refuses) {
    this.#refuses = refuses;
    this.#rows[ROWS].item.classList.add("none");
    at("readings").append(...this.#rows.slice(0, refuses ? ROWS + 1 : ROWS).map((each) => each.item));
  }

  /** Show a reading, or nothing for null; since: when the pen went up, which is then measured. */
  show(reading, since = null) {
    this.#last = reading;
    this.#fill();
    if (since !== null) this.#measure(since);
    else if (!reading) at("speed").textContent = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#say(), CALM);
  }

  speak() {
    this.#fill();
    at("speed").textContent = "";
  }

  #fill() {
    const found = this.#last?.readings ?? [], page = this.#last?.page;
    this.#rows.forEach(({ item, glyph, latin, name, share, bar }, i) => {
      const none = i === ROWS && found.length > 0, shown = none || i < found.length;
      const { glyph: sign = "", latin: letter = "", name: called = "", probability = 0 } = none ? { probability: this.#last.rest } : found[i] ?? {};
      glyph.textContent = sign;
      latin.textContent = none ? words().rest : letter;
      name.textContent = called === letter ? "" : called;
      share.textContent = shown ? percent(probability) : "";
      bar.style.transform = `scaleX(${probability})`;
      item.ariaHidden = String(!shown);
    });
    at("page").hidden = !page;
    at("readings").hidden = !!page;
    if (page) [...at("page").children].forEach((each, i) => { each.textContent = i ? page.latin : page.text; });
    const remark = found.length ? this.#about(found) : "";
    at("remark").textContent = remark;
    at("remark").hidden = !remark;
  }

  #about(found) {
    if (this.#last.none) return words().none;
    if (certainty(found) < SURE) return words().uncertain;
    if (!isRing(found[0])) return "";
    return this.#last.sized ? words().twins : words().sizeless;
  }

  /** From pen-up to the page's holding the probabilities, and to their being painted. */
  #measure(since) {
    const { duration } = performance.measure("pen-up to probabilities", { start: since });
    at("speed").textContent = words().speed(Math.max(1, Math.round(duration)));
    requestAnimationFrame(() => setTimeout(() => performance.measure("pen-up to paint", { start: since })));
  }

  #say() {
    const first = this.#last?.readings?.[0];
    const text = this.#last?.page?.latin ?? (this.#last?.none ? words().none : first ? words().read(first.name, first.latin, percent(first.probability)) : "");
    if (at("spoken").textContent !== text) at("spoken").textContent = text;
  }
}

const isRing = ({ name }) => ["ya", "yar"].includes(name);

/** How sure the first reading is; ya and yar, which a photo cannot tell apart, count as one. */
function certainty([first, ...others]) {
  if (!isRing(first)) return first.probability;
  return others.filter(isRing).reduce((sum, { probability }) => sum + probability, first.probability);
}

function row() {
  const make = (tag, className) => Object.assign(document.createElement(tag), { className });
  const [item, word, track, bar] = [make("li", ""), make("span", "word"), make("div", "bar"), make("i", "")];
  const [glyph, latin, name, share] = ["glyph", "latin", "name", "share"].map((each) => make("span", each));
  glyph.lang = "zgh";
  glyph.ariaHidden = "true";
  word.append(latin, name);
  track.append(bar);
  item.append(glyph, word, share, track);
  return { item, glyph, latin, name, share, bar };
}
