// Puts the page together: what is drawn is read, what is read is shown.

import { Drawing } from "./drawing.js";
import { archive, forget, keep, kept } from "./keep.js";
import { path } from "./pen.js";
import { Lesson } from "./lesson.js";
import { loaded } from "./reading.js";
import { Readings } from "./readings.js";
import { Seeing } from "./seeing.js";
import { Sheet } from "./sheet.js";
import { LANGUAGES, preferred, speak, words } from "./words.js";

const MOST = 32 * 2 ** 20; // bytes of a photo
const CALM = 40; // ms between two pictures of the layers
const at = (id) => document.getElementById(id);

speak(preferred());
let reader;
try { reader = await loaded(); } catch (error) {
  at("trouble").textContent = words().unloaded;
  throw error;
}
const { photos } = reader.model, drawing = new Drawing(at("canvas"));
const lesson = new Lesson(reader), seeing = new Seeing(reader.network, at("layers")), readings = new Readings(reader.refuses), sheet = new Sheet(at("sheet"), reader.letters, choose);
let last = null, frame = 0, seen = 0, writing = 0, asking = false; // asking: which letter it was

/** Show a reading at once, and what the network made of it a little later: the pen comes first. */
function show(reading, since = null) {
  last = reading;
  at("trouble").textContent = "";
  readings.show(reading, since);
  ask(false);
  cancelAnimationFrame(frame);
  seen ||= setTimeout(() => {
    seen = 0;
    seeing.show(last);
  }, CALM);
}

function fail(reason) {
  show(null);
  at("trouble").textContent = reason ?? words().unreachable;
}

drawing.addEventListener("touched", () => { writing++; });
drawing.addEventListener("changed", ({ detail: since }) => {
  const { empty, photo } = drawing;
  at("undo").disabled = at("clear").disabled = empty;
  at("invitation").hidden = !empty || !!drawing.template;
  at("guides").hidden = !!photo;
  if (empty) show(null);
  else if (photo) find(photo);
  else if (since !== null) show(reader.drawing(drawing.strokes, drawing.height), since);
  else {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => { if (drawing.strokes.length) show(reader.drawing(drawing.strokes, drawing.height)); });
  }
});

/** Have the server find what a photo shows. */
async function find(photo) {
  show(null);
  const reading = await reader.photo(photo);
  if (drawing.photo !== photo) return;
  if ("error" in reading) { fail(reading.error); return; }
  if (reading.page) drawing.mark(reading.page.letters.map((each) => each.box), reading.width, reading.height);
  show(reading);
}

function undo() { writing++; drawing.undo(); }
function clear() { writing++; drawing.clear(); }

async function lay(file) {
  writing++;
  if (!photos || file.size > MOST) { fail(photos ? words().tooLarge : words().noPhotos); return; }
  let bitmap = null;
  try { bitmap = await createImageBitmap(file); } catch { /* TIFF and PGM: read here, not shown */ }
  drawing.lay(file, bitmap);
}

/** Write a letter as its template has it: the chosen one, else any. */
async function write() {
  const known = reader.letters.filter((each) => each.template);
  const letter = sheet.letter?.template ? sheet.letter : known[Math.floor(Math.random() * known.length)];
  if (!letter) return;
  const mine = ++writing, still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  drawing.clear();
  for (const stroke of letter.template) {
    const points = drawing.place(letter.glyph, path(stroke));
    drawing.begin(points[0]);
    for (const point of points.slice(1)) {
      if (!still) await new Promise(requestAnimationFrame);
      if (mine !== writing) return;
      drawing.add([point]);
    }
    drawing.end();
  }
}

function choose(letter) {
  if (asking && letter) {
    store(letter.name);
    return false;
  }
  drawing.template = letter?.glyph ?? "";
  at("invitation").hidden = !!letter || !drawing.empty;
  drawing.paint();
  return true;
}

/** Ask whether the first reading is right, or which letter it was. */
function ask(which) {
  const first = drawing.photo ? null : last?.readings?.[0];
  asking = which && !!first;
  at("question").style.visibility = first ? "visible" : "hidden";
  at("question").firstElementChild.textContent = !first ? "" : which ? words().which : words().question(`${first.glyph} ${first.name}`);
  at("right").disabled = at("wrong").disabled = which || !first;
  at("sheet").classList.toggle("asked", asking);
}

function store(name) {
  if (!keep(name, drawing.strokes)) {
    fail(words().full);
    return;
  }
  clear();
  count();
}

function count() {
  const { length } = kept();
  at("kept").hidden = !length;
  at("kept").firstElementChild.textContent = words().kept(length);
}

function translate(name) {
  speak(name);
  seeing.speak();
  readings.speak();
  lesson.speak();
  ask(asking);
  count();
  at("language").value = name;
}

at("language").append(...Object.entries(LANGUAGES).map(([name, word]) => Object.assign(document.createElement("option"), { value: name, lang: name, textContent: word })));
at("language").addEventListener("change", ({ target }) => translate(target.value));
at("undo").addEventListener("click", undo);
at("clear").addEventListener("click", clear);
at("example").addEventListener("click", write);
at("right").addEventListener("click", () => store(last.readings[0].name));
at("wrong").addEventListener("click", () => ask(true));
at("forget").addEventListener("click", () => { forget(); count(); });
at("download").addEventListener("click", async () => {
  const link = document.createElement("a");
  Object.assign(link, { download: "drawings.zip", href: URL.createObjectURL(new Blob([await archive(kept())], { type: "application/zip" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});
at("choose").hidden = !photos;
at("example").hidden = !reader.letters.some((each) => each.template);
at("choose").addEventListener("click", () => at("photo").click());
at("photo").addEventListener("change", ({ target }) => {
  if (target.files.length) lay(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) undo();
  else if (event.key === "Delete") clear();
  else return;
  event.preventDefault();
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragenter" || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) lay(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) lay(clipboardData.files[0]);
});

translate(preferred());
drawing.clear();
for (let i = 0; i < 20; i++) reader.drawing([[[0, 0], [1, i / 20]]], 1); // compiled before the first stroke
await document.fonts.load("1em Letters", "ⵣ");
if (!photos) navigator.serviceWorker?.register("worker.js").catch(() => {}); // not from a file or a plain http host
document.body.dataset.ready = "yes";
