// The five likeliest letters with their bars, a remark, and one calm sentence for screen readers.

import { chosen, words } from "./words.js";

const SURE = 0.6;
const CALM = 700; // ms without a change before the reading is spoken
const ROWS = 5;

export class Readings {
  #rows; #list; #remark; #spoken; #speed; #last = null; #timer = 0;

  constructor(list, remark, spoken, speed) {
    this.#list = list;
    this.#remark = remark;
    this.#spoken = spoken;
    this.#speed = speed;
    this.#rows = Array.from({ length: ROWS }, row);
    list.append(...this.#rows.map((each) => each.item));
  }

  /** Show a reading, or nothing for null; since: when the pen went up, which is then measured. */
  show(reading, since) {
    this.#last = reading;
    this.#fill();
    if (since !== null) this.#measure(since);
    else if (!reading) this.#speed.textContent = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#say(), CALM);
  }

  speak() {
    this.#fill();
    this.#speed.textContent = "";
  }

  #fill() {
    const found = this.#last?.readings ?? [];
    this.#rows.forEach(({ item, glyph, latin, name, share, bar }, i) => {
      const { glyph: sign = "", latin: letter = "", name: called = "", probability = 0 } = found[i] ?? {};
      glyph.textContent = sign;
      latin.textContent = letter;
      name.textContent = called === letter ? "" : called;
      share.textContent = found[i] ? percent(probability) : "";
      bar.style.transform = `scaleX(${probability})`;
      item.ariaHidden = String(!found[i]);
    });
    const remark = found.length ? this.#about(found) : "";
    this.#remark.textContent = remark;
    this.#remark.hidden = !remark;
  }

  #about(found) {
    if (this.#last.none_of_these) return words().none;
    if (certainty(found) < SURE) return words().uncertain;
    if (!isRing(found[0])) return "";
    return this.#last.sized ? words().twins : words().sizeless;
  }

  /** From pen-up to the page's holding the probabilities, and to their being painted. */
  #measure(since) {
    const { duration } = performance.measure("pen-up to probabilities", { start: since });
    this.#speed.textContent = words().speed(Math.max(1, Math.round(duration)));
    requestAnimationFrame(() => setTimeout(() => performance.measure("pen-up to paint", { start: since })));
  }

  #say() {
    const first = this.#last?.readings[0];
    const text = this.#last?.none_of_these ? words().none : first ? words().read(first.name, first.latin, percent(first.probability)) : "";
    if (this.#spoken.textContent !== text) this.#spoken.textContent = text;
  }
}

const isRing = ({ name }) => ["ya", "yar"].includes(name);

/** How sure the first reading is; ya and yar, which a photo cannot tell apart, count as one. */
function certainty([first, ...others]) {
  if (!isRing(first)) return first.probability;
  return others.filter(isRing).reduce((sum, { probability }) => sum + probability, first.probability);
}

function row() {
  const make = (tag, className, lang) => Object.assign(document.createElement(tag), { className, lang });
  const item = document.createElement("li"), word = document.createElement("span"), track = make("div", "bar", "");
  const [glyph, latin, name] = [make("span", "glyph", "zgh"), make("span", "latin", "zgh-Latn"), make("span", "name", "zgh-Latn")];
  const share = make("span", "share", ""), bar = document.createElement("i");
  for (const each of [track, share]) each.removeAttribute("lang");
  glyph.ariaHidden = "true";
  word.append(latin, name);
  track.append(bar);
  item.append(glyph, word, share, track);
  return { item, glyph, latin, name, share, bar };
}

/** A share as a percentage in the language's way; to make a format takes long, so they are kept. */
function percent(share) {
  const [coarse, fine] = (formats[chosen()] ??= [0, 1].map((digits) => new Intl.NumberFormat(
    { en: "en", fr: "fr", zgh: "fr" }[chosen()], { style: "percent", maximumFractionDigits: digits })));
  if (share < 0.0005) return `< ${fine.format(0.001)}`;
  return (share < 0.1 || share > 0.99 ? fine : coarse).format(share);
}

const formats = {};
