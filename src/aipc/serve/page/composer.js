import { Attachments } from "./attachments.js";
import { byId } from "./element.js";

/** Where a question is written, with the figures of the answer being written above it. */
export class Composer {
  #field = byId("question");
  #status = byId("status");
  #attached = new Attachments((told) => this.tell(told));

  /** `onSend` gets a question as a message has it; the field keeps it until `clear`. */
  constructor({ onSend, onStop, onEditLast }) {
    const send = () => this.#isEmpty || onSend(this.#question);
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    this.#field.addEventListener("keydown", (event) => {
      const { ctrlKey, altKey, metaKey, shiftKey } = event;
      const isPlain = !(ctrlKey || altKey || metaKey || shiftKey);
      if (event.key === "ArrowUp" && isPlain && this.#isEmpty && onEditLast()) {
        event.preventDefault(); // it would put the cursor before the text
      }
      if (event.key !== "Enter" || shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    });
    this.#field.addEventListener("input", () => this.#fit());
    byId("stop").addEventListener("click", onStop);
  }

  fill({ content, files = [] }) {
    this.#field.value = content;
    this.#attached.files = files;
    this.#fit();
    this.#field.focus();
  }

  clear() {
    this.#field.value = "";
    this.#attached.files = [];
    this.#fit();
  }

  get #isEmpty() {
    return this.#field.value.trim() === "" && this.#attached.files.length === 0;
  }

  get #question() {
    const { files } = this.#attached;
    return { content: this.#field.value.trim(), ...(files.length && { files }) };
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
