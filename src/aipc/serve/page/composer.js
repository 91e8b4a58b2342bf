import { byId } from "./element.js";

/** Where a question is written, with the figures of the answer being written above it. */
export class Composer {
  #field = byId("question");
  #status = byId("status");

  /** `onSend` gets the text; the field keeps it until `clear`. */
  constructor({ onSend, onStop }) {
    const send = () => this.#field.value.trim() && onSend(this.#field.value.trim());
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    });
    this.#field.addEventListener("input", () => this.#fit());
    byId("stop").addEventListener("click", onStop);
  }

  fill(text) {
    this.#field.value = text;
    this.#fit();
    this.#field.focus();
  }

  clear() {
    this.#field.value = "";
    this.#fit();
  }

  focus() {
    this.#field.focus();
  }

  set isAnswering(isAnswering) {
    const hadFocus = [byId("send"), byId("stop")].includes(document.activeElement);
    byId("send").hidden = isAnswering;
    byId("stop").hidden = !isAnswering;
    if (hadFocus) this.focus(); // a hidden button would drop it
    if (!isAnswering) this.figures = "";
  }

  set figures(text) {
    byId("figures").textContent = text;
  }

  /** Read out by screen readers, so only set when it changes. */
  tell(text, ...controls) {
    if (this.#status.textContent !== text) this.#status.replaceChildren(text, ...controls);
  }

  /** As tall as its text, up to a third of the window. */
  #fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${Math.min(this.#field.scrollHeight + 2, innerHeight / 3)}px`;
  }
}
