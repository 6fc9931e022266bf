// The paper: strokes, or a photo, and what the network is to be shown of them.
// Coordinates are fractions of the paper's side, x to the right, y down.

const PEN = 0.034;
const TOP = 0.1, BASE = 0.9; // the full guide lines
const CAP = 0.729; // height of the letters in the font, in ems
const WIDEST = 0.86;
// The picture that is sent, in pixels: the writing in the middle of a sheet, its longer side and
// the pen always the same, for a small letter in the paper's pen has its inside filled. Below the
// least side, in parts of the paper, it is a dot.
const SIDE = 256, LONGER = 150, THIN = 6, LEAST = 0.08;

export class Drawing extends EventTarget {
  #canvas; #strokes = []; #photo = null; #open = null; #frame = 0;
  #sent = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
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

  get empty() { return !this.#strokes.length && !this.#photo; }
  get photo() { return this.#photo?.file ?? null; }

  undo() {
    if (this.#photo) this.#photo = null; else this.#strokes.pop();
    this.#open = null;
    this.#tell();
  }

  clear() {
    this.#strokes = [];
    this.#photo = this.#open = null;
    this.#tell();
  }

  /** Lay a photo on the paper; `bitmap` is null where the browser cannot show its format. */
  lay(file, bitmap) {
    this.#strokes = [];
    this.#open = null;
    this.#photo = { file, bitmap };
    this.#tell();
  }

  /** Begin a stroke at a point and add points to it, as the pen does. */
  begin(point) {
    this.#photo = null;
    this.#open = [point];
    this.#strokes.push(this.#open);
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
    const height = BASE - TOP;
    const aspect = this.#width(glyph) / CAP;
    const width = Math.min(WIDEST, height * (aspect < 0.34 ? 1 : aspect));
    return points.map(([x, y]) => [0.5 + (x - 0.5) * width, TOP + y * height]);
  }

  /** How high the writing is, in heights of a letter between the full lines. */
  get height() {
    const { top, bottom } = this.#box();
    return (bottom - top) / (BASE - TOP);
  }

  /** The strokes as a PGM image, dark on light. */
  picture() {
    const context = this.#sent, { left, right, top, bottom } = this.#box();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    const scale = LONGER / Math.max(right - left, bottom - top, LEAST);
    context.setTransform(scale, 0, 0, scale, (SIDE - (left + right) * scale) / 2, (SIDE - (top + bottom) * scale) / 2);
    this.#ink(context, "#000", THIN / scale);
    const pixels = context.getImageData(0, 0, SIDE, SIDE).data;
    const head = new TextEncoder().encode(`P5 ${SIDE} ${SIDE} 255\n`);
    const file = new Uint8Array(head.length + SIDE * SIDE);
    file.set(head);
    for (let i = 0; i < SIDE * SIDE; i++) file[head.length + i] = pixels[4 * i];
    return file;
  }

  paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const context = this.#canvas.getContext("2d"), side = this.#canvas.width;
    const colours = getComputedStyle(document.documentElement);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    if (this.#photo) {
      this.#show(context, side, colours.getPropertyValue("--soft"));
      return;
    }
    if (this.template) {
      context.fillStyle = colours.getPropertyValue("--template");
      context.textAlign = "center";
      const em = Math.min((BASE - TOP) / CAP, WIDEST / this.#width(this.template)) * side;
      context.font = `${em}px Letters`;
      context.fillText(this.template, side / 2, BASE * side);
    }
    context.setTransform(side, 0, 0, side, 0, 0);
    this.#ink(context, colours.getPropertyValue("--ink"), PEN);
  }

  /** The photo, or the name of a file that the browser cannot show. */
  #show(context, side, colour) {
    const { file, bitmap } = this.#photo;
    if (!bitmap) {
      context.fillStyle = colour;
      context.textAlign = "center";
      context.font = `${side / 20}px system-ui, sans-serif`;
      context.fillText(file.name, side / 2, side / 2, WIDEST * side);
      return;
    }
    const scale = side / Math.max(bitmap.width, bitmap.height);
    const width = bitmap.width * scale, height = bitmap.height * scale;
    context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
  }

  #ink(context, colour, pen) {
    context.strokeStyle = colour;
    context.lineWidth = pen;
    context.lineCap = context.lineJoin = "round";
    for (const points of this.#strokes) {
      context.beginPath();
      context.moveTo(...points[0]);
      // Through the middles between points, which is smooth where the hand was.
      for (let i = 1; i < points.length - 1; i++) {
        const [x, y] = points[i], [u, v] = points[i + 1];
        context.quadraticCurveTo(x, y, (x + u) / 2, (y + v) / 2);
      }
      context.lineTo(...points[points.length - 1]);
      context.stroke();
    }
  }

  #box() {
    const box = { left: 1, right: 0, top: 1, bottom: 0 };
    for (const [x, y] of this.#strokes.flat()) {
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y);
    }
    return box;
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
