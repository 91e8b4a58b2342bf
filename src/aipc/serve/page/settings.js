import { byId } from "./element.js";
import { keep, lasting } from "./storage.js";

const NAME = "aipc.settings";

/** The form of model, device and options: kept in the browser, and made into a request. */
export class Settings {
  #form = byId("settings");
  #kept = read();
  #cards = [];

  constructor() {
    for (const field of this.#form.elements) {
      field.value = this.#kept[field.name] ?? "";
      field.addEventListener("input", () => this.#keep(field));
    }
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#checkSchema();
  }

  /** As `/v1/models` lists them; those that write no text are left out. */
  offerModels(cards) {
    this.#cards = cards.filter(({ aipc }) => !aipc.can.includes("embeddings"));
    this.#offer("model", this.#cards.map(({ id }) => [id, id]));
  }

  /** As `/api/machine` lists its places. */
  offerDevices(places) {
    this.#offer("device", [["", "Automatic"], ...places.map(optionOf)]);
  }

  /** What there is to know before the first question. */
  aboutModel() {
    const { state, device, context, error } = this.#card ?? {};
    return [
      state === "ready" && `Ready on ${device.toUpperCase()}.`,
      state === "stopped" && "Not loaded yet: the first answer takes longer.",
      state === "failed" && `It could not be loaded: ${error}.`,
      context && `Room for ${context.toLocaleString("en")} tokens.`,
      "Nothing leaves this machine.",
    ].filter(Boolean).join(" ");
  }

  /** What a model that is being loaded is at; else empty. */
  get doing() {
    return this.#card?.doing ?? "";
  }

  /** The device that was chosen or, as far as is known yet, found; else empty. */
  get place() {
    return (this.#form.elements.device.value || this.#card?.device || "").toUpperCase();
  }

  /** The message that an answer is written into. */
  blankAnswer() {
    const told = { model: this.#form.elements.model.value, device: this.place };
    return { role: "assistant", content: "", ...told, ...(this.#isJson && { json: true }) };
  }

  /** False, and the faulty field shown, where something can't be meant. */
  isSound() {
    const isSound = this.#form.checkValidity();
    if (!isSound) {
      byId("settings-drop").open = byId("settings-drop").querySelector(":invalid") !== null;
      this.#form.reportValidity();
    }
    return isSound;
  }

  /** The body of a chat completion: only what was set is sent. */
  request(messages) {
    const { model, device, system, temperature, max_tokens: most } = this.#form.elements;
    const { schema, think } = this.#form.elements;
    const said = messages.map(({ role, content }) => ({ role, content }));
    const body = { model: model.value, messages: said };
    if (system.value.trim()) said.unshift({ role: "system", content: system.value });
    if (device.value) body.device = device.value;
    if (temperature.value) body.temperature = temperature.valueAsNumber;
    if (most.value) body.max_tokens = most.valueAsNumber;
    if (think.value) body.think = think.value === "on";
    if (this.#isJson) body.response_format = formatOf(JSON.parse(schema.value));
    return body;
  }

  get #card() {
    return this.#cards.find(({ id }) => id === this.#form.elements.model.value)?.aipc;
  }

  get #isJson() {
    return this.#form.elements.schema.value.trim() !== "";
  }

  /** `[value, label]` each; the choice made before stays where it is still offered. */
  #offer(name, options) {
    const select = this.#form.elements[name];
    const offered = JSON.stringify(options);
    if (select.dataset.offered === offered) return; // a list that is open stays as it is
    const before = select.value || this.#kept[name];
    select.dataset.offered = offered;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    if (options.some(([value]) => value === before)) select.value = before;
  }

  #keep({ name, value }) {
    this.#checkSchema();
    this.#kept[name] = value;
    keep(NAME, JSON.stringify(this.#kept));
  }

  #checkSchema() {
    const { schema } = this.#form.elements;
    const fault = this.#isJson ? faultOf(schema.value) : "";
    schema.setCustomValidity(fault);
    schema.setAttribute("aria-invalid", String(Boolean(fault)));
    byId("schema-told").textContent =
      fault || "With a schema, every answer is JSON that matches it.";
  }
}

const optionOf = ({ device, name }) =>
  [device, name.toUpperCase() === device.toUpperCase() ? name : `${device.toUpperCase()}: ${name}`];

const formatOf = (schema) =>
  ({ type: "json_schema", json_schema: { name: "answer", schema, strict: true } });

function faultOf(text) {
  try {
    const value = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? "" : "A schema is a JSON object: {…}.";
  } catch (error) {
    return `This is not JSON: ${error.message}.`;
  }
}

function read() {
  try {
    return { ...JSON.parse(lasting.getItem(NAME)) };
  } catch {
    return {};
  }
}
