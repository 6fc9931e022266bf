// The sheet of letters: one stop for the Tab key, arrow keys inside, a click to take a template.

export class Sheet {
  #place; #chosen; #buttons = [];
  letter = null; // the one chosen

  /** chosen(letter): called with the letter chosen, or null; whether it stays pressed. */
  constructor(place, letters, chosen) {
    this.#place = place;
    this.#chosen = chosen;
    for (const letter of letters) place.append(this.#button(letter));
    if (this.#buttons.length) this.#buttons[0].tabIndex = 0;
    place.addEventListener("keydown", (event) => this.#key(event));
  }

  #button(letter) {
    const button = document.createElement("button");
    const glyph = document.createElement("span"), latin = document.createElement("small");
    glyph.className = "glyph";
    glyph.lang = "zgh";
    glyph.textContent = letter.glyph;
    glyph.ariaHidden = "true"; // many voices have no name for it; the Latin name follows
    latin.textContent = letter.latin === letter.name ? letter.name : `${letter.name} ${letter.latin}`;
    latin.lang = "zgh-Latn";
    button.type = "button";
    button.tabIndex = -1;
    button.ariaPressed = "false";
    button.dataset.name = letter.name;
    button.append(glyph, latin);
    button.addEventListener("click", () => this.#choose(button, letter));
    button.addEventListener("focus", () => this.#stop(button));
    this.#buttons.push(button);
    return button;
  }

  #choose(button, letter) {
    const wanted = button.ariaPressed === "true" ? null : letter;
    if (!this.#chosen(wanted ?? (this.#place.classList.contains("asked") ? letter : null))) return;
    this.letter = wanted;
    for (const each of this.#buttons) each.ariaPressed = String(each === button && !!wanted);
  }

  /** The Tab key stops at the letter that was last visited. */
  #stop(button) {
    for (const each of this.#buttons) each.tabIndex = each === button ? 0 : -1;
  }

  #key(event) {
    const here = this.#buttons.indexOf(document.activeElement), last = this.#buttons.length - 1;
    const across = getComputedStyle(this.#place).gridTemplateColumns.split(" ").length;
    const ahead = document.documentElement.dir === "rtl" ? -1 : 1, steps = { ArrowLeft: -ahead, ArrowRight: ahead, ArrowUp: -across, ArrowDown: across };
    let to = here + (steps[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last;
    else if (!(event.key in steps)) return;
    event.preventDefault();
    if (to >= 0 && to <= last) this.#buttons[to].focus();
  }
}
