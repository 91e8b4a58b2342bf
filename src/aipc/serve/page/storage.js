/** The browser's own storage, or one that lasts as long as the page where the browser refuses. */
function open(name) {
  try {
    return window[name];
  } catch {
    return new Transient();
  }
}

class Transient {
  #items = new Map();
  get length() { return this.#items.size; }
  key(at) { return [...this.#items.keys()][at] ?? null; }
  getItem(key) { return this.#items.get(key) ?? null; }
  setItem(key, value) { this.#items.set(key, value); }
  removeItem(key) { this.#items.delete(key); }
}

/** Shared by all pages of this server and kept. */
export const lasting = open("localStorage");

/** This tab's, and gone with it. */
export const ofTab = open("sessionStorage");

/** False where the browser has no room left. */
export function keep(name, text) {
  try {
    lasting.setItem(name, text);
    return true;
  } catch (error) {
    if (error.name === "QuotaExceededError") return false;
    throw error;
  }
}
