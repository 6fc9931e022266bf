// The paper: strokes, or a photo. Coordinates are fractions of its side, x to the right, y down.

import { boxOf, smooth } from "./pen.js";

const PEN = 0.034;
const TOP = 0.1, BASE = 0.9; // the full guide lines
const CAP = 0.729; // height of the letters in the font, in ems
const WIDEST = 0.86;

export class Drawing extends EventTarget {
  #canvas; #photo = null; #open = null; #frame = 0;
  strokes = [];
  template = "";

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  get empty() { return !this.strokes.length && !this.#photo; }
  get photo() { return this.#photo?.file ?? null; }

  undo() {
    if (this.#photo) this.#photo = null; else this.strokes.pop();
    this.#open = null;
    this.#tell();
  }

  clear() {
    this.strokes = [];
    this.#photo = this.#open = null;
    this.#tell();
  }

  /** Lay a photo on the paper; `bitmap` is null where the browser cannot show its format. */
  lay(file, bitmap) {
    this.strokes = [];
    this.#open = null;
    this.#photo = { file, bitmap };
    this.#tell();
  }

  /** Mark the letters found on the photo: boxes in a picture so many pixels wide and high. */
  mark(boxes, width, height) {
    if (this.#photo) Object.assign(this.#photo, { boxes, width, height });
    this.paint();
  }

  /** Begin a stroke at a point and add points to it, as the pen does. */
  begin(point) {
    this.#photo = null;
    this.#open = [point];
    this.strokes.push(this.#open);
    this.#tell();
  }

  add(points) {
    this.#open?.push(...points);
    this.#tell();
  }

  end(since = null) {
    this.#open = null;
    this.#tell(since);
  }

  /** Points of a letter's frame, 0 to 1, at the place where the letter stands on the paper. */
  place(glyph, points) {
    const height = BASE - TOP, aspect = this.#width(glyph) / CAP;
    const width = Math.min(WIDEST, height * (aspect < 0.34 ? 1 : aspect));
    return points.map(([x, y]) => [0.5 + (x - 0.5) * width, TOP + y * height]);
  }

  /** How high the writing is, in heights of a letter between the full lines. */
  get height() {
    const { top, bottom } = boxOf(this.strokes);
    return (bottom - top) / (BASE - TOP);
  }

  paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const context = this.#canvas.getContext("2d"), side = this.#canvas.width, style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    if (this.#photo) {
      this.#show(context, side, colour);
      return;
    }
    if (this.template) {
      context.fillStyle = colour("--template");
      context.textAlign = "center";
      context.font = `${Math.min((BASE - TOP) / CAP, WIDEST / this.#width(this.template)) * side}px Letters`;
      context.fillText(this.template, side / 2, BASE * side);
    }
    context.setTransform(side, 0, 0, side, 0, 0);
    context.strokeStyle = colour("--ink");
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const points of this.strokes) {
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of smooth(points)) context.lineTo(...point);
      context.stroke();
    }
  }

  /** The photo with its boxes, or the name of a file that the browser cannot show. */
  #show(context, side, colour) {
    const { file, bitmap, boxes = [], width, height } = this.#photo;
    if (!bitmap) {
      context.fillStyle = colour("--soft");
      context.textAlign = "center";
      context.font = `${side / 20}px system-ui, sans-serif`;
      context.fillText(file.name, side / 2, side / 2, WIDEST * side);
      return;
    }
    const scale = side / Math.max(bitmap.width, bitmap.height), [wide, high] = [bitmap.width * scale, bitmap.height * scale];
    const [left, top] = [(side - wide) / 2, (side - high) / 2];
    context.drawImage(bitmap, left, top, wide, high);
    context.strokeStyle = colour("--mark");
    context.lineWidth = side / 200;
    for (const box of boxes) context.strokeRect(left + box.left * wide / width, top + box.top * high / height, box.width * wide / width, box.height * high / height);
  }

  /** The width of a glyph, in ems. */
  #width(glyph) {
    const context = this.#canvas.getContext("2d");
    context.font = "100px Letters";
    return context.measureText(glyph).width / 100;
  }

  #resize() {
    const side = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (!side || side === this.#canvas.width) return;
    this.#canvas.width = this.#canvas.height = side;
    this.#paint();
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.#canvas.setPointerCapture(event.pointerId);
    this.dispatchEvent(new Event("touched"));
    this.begin(this.#point(event));
  }

  #move(event) {
    if (!this.#open || !event.isPrimary || !event.buttons) return;
    const all = event.getCoalescedEvents?.() ?? [];
    this.add((all.length ? all : [event]).map((each) => this.#point(each)));
  }

  #up(event) {
    if (this.#open && event.isPrimary) this.end(event.timeStamp);
  }

  #tell(since = null) {
    this.paint();
    this.dispatchEvent(new CustomEvent("changed", { detail: since }));
  }
}
