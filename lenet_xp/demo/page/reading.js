// Asks the server what a picture shows: one question at a time, and always the latest.

export class Asking {
  #show; #fail; #next = null; #busy = false;

  /** show(reading, since): what to do with an answer. fail(word): with none; a server's sentence or null. */
  constructor(show, fail) {
    this.#show = show;
    this.#fail = fail;
  }

  /** Ask about what `make` gives, a body and perhaps the writing's height; since: when the pen went up, else null. */
  ask(make, since = null) {
    this.#next = { make, since };
    if (!this.#busy) this.#run();
  }

  /** Forget the questions not yet answered. */
  drop() { this.#next = { make: null }; }

  async #run() {
    this.#busy = true;
    while (this.#next) {
      const { make, since } = this.#next;
      this.#next = null;
      if (!make) continue;
      const answer = await question(make());
      if (this.#next) {
        if (this.#next.make && answer.reading) this.#show(answer.reading, null);
      } else if (answer.reading) this.#show(answer.reading, since);
      else this.#fail(answer.error);
    }
    this.#busy = false;
  }
}

async function question({ body, height }) {
  try {
    const response = await fetch(height === undefined ? "read" : `read?height=${height.toFixed(3)}`, { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } });
    const answer = await response.json();
    return response.ok ? { reading: answer } : { error: answer.error };
  } catch {
    return { error: null };
  }
}

/** A picture or maps from the server: levels as a typed array, and their shape. */
export function levels({ levels, shape }, type) {
  const bytes = Uint8Array.from(atob(levels), (each) => each.charCodeAt(0));
  return { values: new type(bytes.buffer), shape };
}
