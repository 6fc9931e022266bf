// What the page says, in English, French and Tamazight (Standard Moroccan, in Tifinagh).
// Of the Tamazight the words for write, letter, language, tools, undo, clear, choose, line, reading,
// input, file and server are MediaWiki's; no speaker has gone over the sentences yet.

export const LANGUAGES = { en: "English", fr: "Français", zgh: "ⵜⴰⵎⴰⵣⵉⵖⵜ" };

export const WORDS = {
  en: {
    title: "Handwriting, read by LeNet-5",
    language: "Language",
    write: "Write a letter",
    paper: "Paper to write on",
    invitation: "Write here: mouse, finger or pen",
    help: "A letter stands between the two full lines; ⴰ stays below the dashed one. You may also drop a photo anywhere on this page.",
    tools: "Tools",
    undo: "Undo",
    clear: "Clear",
    example: "Show me",
    photo: "Photo…",
    reading: "Reading",
    network: "What the network sees",
    input: "Input",
    seen: "The picture as the network sees it",
    maps: (name, count, high, wide) => `${count} maps of layer ${name}, ${high} by ${wide}`,
    letters: "The letters",
    lettersHelp: "Choose one to trace it, or let “Show me” write it. Arrow keys move.",
    nothing: "Nothing is written yet.",
    read: (name, latin, share) => `${name}, ${latin}, ${share}`,
    none: "This is none of the letters.",
    uncertain: "Not sure: the letter may not be among these.",
    twins: "ⴰ and ⵔ differ in size only: below the dashed line it is ⴰ.",
    sizeless: "ⴰ and ⵔ differ in size only, which a photo of one letter does not tell.",
    speed: (ms) => `read in ${ms} ms`,
    tracing: (name) => `Template: ${name}`,
    tooLarge: "This file is too large: at most 32 MB.",
    unreachable: "The server does not answer. Is it still running?",
  },
  fr: {
    title: "L’écriture manuscrite, lue par LeNet-5",
    language: "Langue",
    write: "Écrire une lettre",
    paper: "Papier pour écrire",
    invitation: "Écrivez ici : souris, doigt ou stylet",
    help: "Une lettre tient entre les deux lignes pleines ; ⴰ reste sous la ligne pointillée. On peut aussi déposer une photo n’importe où sur la page.",
    tools: "Outils",
    undo: "Annuler",
    clear: "Effacer",
    example: "Montrer",
    photo: "Photo…",
    reading: "Lecture",
    network: "Ce que voit le réseau",
    input: "Entrée",
    seen: "L’image telle que le réseau la voit",
    maps: (name, count, high, wide) => `${count} cartes de la couche ${name}, ${high} sur ${wide}`,
    letters: "Les lettres",
    lettersHelp: "Choisissez-en une pour la repasser, ou laissez « Montrer » l’écrire. Les flèches déplacent.",
    nothing: "Rien n’est encore écrit.",
    read: (name, latin, share) => `${name}, ${latin}, ${share}`,
    none: "Ce n’est aucune de ces lettres.",
    uncertain: "Lecture incertaine : la lettre n’est peut-être pas dans cette liste.",
    twins: "ⴰ et ⵔ ne diffèrent que par la taille : sous la ligne pointillée, c’est ⴰ.",
    sizeless: "ⴰ et ⵔ ne diffèrent que par la taille, que la photo d’une seule lettre ne dit pas.",
    speed: (ms) => `lu en ${ms} ms`,
    tracing: (name) => `Modèle : ${name}`,
    tooLarge: "Ce fichier est trop grand : 32 Mo au plus.",
    unreachable: "Le serveur ne répond pas. Tourne-t-il encore ?",
  },
  zgh: {
    title: "ⵜⵉⵔⵔⴰ ⵏ ⵓⴼⵓⵙ, ⵉⵖⵔⴰ ⵜⵏⵜ LeNet-5",
    language: "ⵜⵓⵜⵍⴰⵢⵜ",
    write: "ⴰⵔⴰ ⴰⵙⴽⴽⵉⵍ",
    paper: "ⵜⴰⵡⵔⵉⵇⵜ ⵏ ⵜⵉⵔⵔⴰ",
    invitation: "ⴰⵔⴰ ⴷⴰ",
    help: "ⴰⵙⴽⴽⵉⵍ ⵉⵍⵍⴰ ⴳⵔ ⵙⵉⵏ ⵉⵣⵔⵉⵔⴳⵏ; ⴰ ⵉⵍⵍⴰ ⴷⴷⴰⵡ ⵓⵣⵔⵉⵔⴳ ⵏ ⵜⵓⵣⵣⵓⵎⵜ. ⵜⵣⵎⵔⴷ ⴰⴷ ⵜⵙⵔⵙⴷ ⴷⴰ ⵜⴰⵡⵍⴰⴼⵜ.",
    tools: "ⵉⵎⴰⵙⵙⵏ",
    undo: "ⵙⵔ",
    clear: "ⵙⴼⴹ",
    example: "ⴰⵎⴷⵢⴰ",
    photo: "ⵜⴰⵡⵍⴰⴼⵜ…",
    reading: "ⵜⵉⵖⵔⵉ",
    network: "ⴰⵢⵏⵏⴰ ⵉⵥⵕⵕⴰ ⵓⵥⵟⵟⴰ",
    input: "ⴰⴽⵛⵛⵓⵎ",
    seen: "ⵜⴰⵡⵍⴰⴼⵜ ⵎⴽ ⵜⵜ ⵉⵥⵕⵕⴰ ⵓⵥⵟⵟⴰ",
    maps: (name, count, high, wide) => `${name}: ${count} ⵏ ⵜⴽⴰⵕⴹⵉⵡⵉⵏ, ${high} × ${wide}`,
    letters: "ⵉⵙⴽⴽⵉⵍⵏ",
    lettersHelp: "ⵙⵜⵉ ⵢⴰⵏ ⵓⵙⴽⴽⵉⵍ, ⵜⴰⵔⴰⴷ ⵜ.",
    nothing: "ⵓⵔ ⵜⴰ ⵉⵍⵍⵉ ⴽⵔⴰ.",
    read: (name, latin, share) => `${name}, ${latin}, ${share}`,
    none: "ⵓⵔ ⵉⴳⵉ ⴰⵙⴽⴽⵉⵍ.",
    uncertain: "ⵓⵔ ⵉⴹⵎⵏ: ⵉⵣⵎⵔ ⴰⴷ ⵓⵔ ⵉⵍⵉ ⵓⵙⴽⴽⵉⵍ ⴷⴰ.",
    twins: "ⴰ ⴷ ⵔ: ⴰⵎⵥⵥⵢⴰⵏ, ⴷⴷⴰⵡ ⵓⵣⵔⵉⵔⴳ ⵏ ⵜⵓⵣⵣⵓⵎⵜ, ⵉⴳⴰ ⴰ.",
    sizeless: "ⴰ ⵏⵖ ⵔ.",
    speed: (ms) => `${ms} ms`,
    tracing: (name) => `ⴰⵙⴽⴽⵉⵍ: ${name}`,
    tooLarge: "ⵉⵅⴰⵜⵔ ⵓⴼⴰⵢⵍⵓ: 32 MB.",
    unreachable: "ⵓⵔ ⵉⵔⵉⵔ ⵓⵎⴰⴽⴽⴰⵢ.",
  },
};

const KEY = "lenet_xp language";
let language = "en";

/** The words of the language chosen. */
export const words = () => WORDS[language];
export const chosen = () => language;

/** The language remembered, else the first of the browser's own that is spoken here. */
export function preferred() {
  const remembered = recall();
  if (remembered in WORDS) return remembered;
  const known = { en: "en", fr: "fr", zgh: "zgh", ber: "zgh", tzm: "zgh", shi: "zgh", rif: "zgh" };
  const own = navigator.languages.map((each) => known[each.split("-")[0].toLowerCase()]);
  return own.find(Boolean) ?? "en";
}

/** Put a language's words into the page, name the language to the browser, and remember it. */
export function speak(name) {
  language = name;
  try { localStorage.setItem(KEY, name); } catch { /* not to be kept: private windows */ }
  document.documentElement.lang = name;
  document.title = `${words().title} · lenet_xp`;
  for (const each of document.querySelectorAll("[data-words]")) each.textContent = words()[each.dataset.words];
  for (const each of document.querySelectorAll("[data-label]")) each.ariaLabel = words()[each.dataset.label];
}

function recall() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}
