import { byId, element } from "./element.js";
import { pickFiles, readText } from "./files.js";

const MOST = 8;

/** The files that go with the question being written, a chip for each. */
export class Attachments {
  #list = byId("attached");
  #tell;
  #files = [];

  /** `tell` gets a plain line of what was attached, and of what could not be. */
  constructor(tell) {
    this.#tell = tell;
    byId("attach").addEventListener("click", async () =>
      this.#add(await pickFiles({ multiple: true })));
    addEventListener("dragover", (event) => this.#onDrag(event, true));
    addEventListener("dragleave", (event) => event.relatedTarget ?? this.#onDrag(event, false));
    addEventListener("drop", (event) => {
      this.#onDrag(event, false);
      this.#add([...event.dataTransfer.files]);
    });
  }

  get files() {
    return this.#files;
  }

  set files(files) {
    this.#files = [...files];
    this.#list.replaceChildren(...this.#files.map((file) => this.#chip(file)));
  }

  async #add(chosen) {
    if (!chosen.length) return;
    const read = await Promise.all(chosen.map(readText));
    const faults = read.map(({ fault }) => fault).filter(Boolean);
    const files = [...this.#files, ...read.filter(({ fault }) => !fault)];
    if (files.length > MOST) faults.push(`${MOST} files at most go with a question.`);
    this.files = files.slice(0, MOST);
    const names = this.#files.map(({ name }) => name).join(", ");
    this.#tell([...faults, names && `Attached: ${names}.`].filter(Boolean).join(" "));
    byId("question").focus();
  }

  /** A browser would open a dropped file in place of the page. */
  #onDrag(event, isOver) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    byId("ask").classList.toggle("over", isOver);
  }

  #chip(file) {
    const remover = element("button",
      { type: "button", className: "quiet", aria: { label: `Leave out “${file.name}”` } }, "×");
    remover.addEventListener("click", () => {
      this.files = this.#files.filter((one) => one !== file);
      this.#tell("");
      byId("question").focus();
    });
    const size = `${file.text.length.toLocaleString("en")} characters`;
    return element("li", { title: size }, element("span", {}, file.name), remover);
  }
}
