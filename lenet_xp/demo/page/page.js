// Puts the page together: what is drawn is asked about, what is answered is shown.

import { Drawing } from "./drawing.js";
import { Maps } from "./maps.js";
import { Readings } from "./readings.js";
import { Asking } from "./reading.js";
import { Sheet } from "./sheet.js";
import { LANGUAGES, chosen, preferred, speak, words } from "./words.js";

const MOST = 32 * 2 ** 20; // bytes of a photo
const at = (id) => document.getElementById(id);

const drawing = new Drawing(at("canvas"));
const maps = new Maps(at("seen"), at("layers"));
const readings = new Readings(at("readings"), at("remark"), at("spoken"), at("speed"));
const asking = new Asking(answered, failed);
let letters = [], sheet = null, writing = 0;

function answered(reading, since) {
  at("trouble").textContent = "";
  maps.show(reading);
  readings.show(reading, since);
}

function failed(reason) {
  at("trouble").textContent = reason ?? words().unreachable;
  maps.show(null);
  readings.show(null, null);
}

drawing.addEventListener("touched", () => { writing++; });
drawing.addEventListener("changed", ({ detail: since }) => {
  const { empty, photo } = drawing;
  at("undo").disabled = at("clear").disabled = empty;
  at("invitation").hidden = !empty || !!drawing.template;
  at("guides").hidden = !!photo;
  if (empty) {
    asking.drop();
    answered(null, null);
  } else if (photo) asking.ask(() => ({ body: photo }));
  else asking.ask(() => ({ body: drawing.picture(), height: drawing.height }), since);
});

function undo() { writing++; drawing.undo(); }
function clear() { writing++; drawing.clear(); }

async function lay(file) {
  writing++;
  if (file.size > MOST) { failed(words().tooLarge); return; }
  let bitmap = null;
  try { bitmap = await createImageBitmap(file); } catch { /* TIFF and PGM: read here, not shown */ }
  drawing.lay(file, bitmap);
}

/** Write a letter as a hand would: the chosen one, else any. */
async function show() {
  const known = letters.filter((each) => each.written);
  const letter = sheet?.letter?.written ? sheet.letter : known[Math.floor(Math.random() * known.length)];
  if (!letter) return;
  const mine = ++writing;
  const number = Math.floor(Math.random() * 1e6);
  let strokes;
  try {
    const response = await fetch(`strokes?letter=${encodeURIComponent(letter.name)}&number=${number}`);
    strokes = await response.json();
  } catch { failed(null); return; }
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (mine !== writing) return;
  drawing.clear();
  for (const stroke of strokes.map((each) => drawing.place(letter.glyph, each))) {
    drawing.begin(stroke[0]);
    for (let i = 1; i < stroke.length; i += 2) {
      if (!still) await new Promise(requestAnimationFrame);
      if (mine !== writing) return;
      drawing.add(stroke.slice(i, i + 2));
    }
    drawing.end();
  }
}

function choose(letter) {
  drawing.template = letter?.glyph ?? "";
  at("invitation").hidden = !!letter || !drawing.empty;
  drawing.paint();
}

function translate(name) {
  speak(name);
  maps.speak();
  readings.speak();
  for (const each of at("languages").children) each.ariaPressed = String(each.lang === chosen());
}

for (const [name, word] of Object.entries(LANGUAGES)) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", lang: name, textContent: word });
  button.addEventListener("click", () => translate(name));
  at("languages").append(button);
}

at("undo").addEventListener("click", undo);
at("clear").addEventListener("click", clear);
at("example").addEventListener("click", show);
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
try {
  letters = await (await fetch("letters")).json();
  sheet = new Sheet(at("sheet"), letters, choose);
  await document.fonts.load("1em Letters", "ⵣ");
} catch { failed(null); }
document.body.dataset.ready = "yes";
