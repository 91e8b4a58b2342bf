import { byId } from "./element.js";
import { sentText } from "./files.js";
import { optionLabels, valueOf } from "./options.js";
import { keep, lasting } from "./storage.js";

const NAME = "aipc.settings";
const CHOSEN = ["model", "device"]; // what a new conversation takes from the one before it

/** The form of model, device and options of a conversation, made into a request. */
export class Settings {
  #form = byId("settings");
  #shown = {};
  #options = [];
  #onChange;
  #cards = [];

  constructor(onChange) {
    this.#onChange = onChange;
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    for (const field of this.#form.elements) this.#listen(field);
    byId("settings-keep").addEventListener("click", () => this.#keepForNew());
    byId("settings-clear").addEventListener("click", () => this.#clear());
  }

  /** Offer the options that the server declares, once. */
  declare(properties) {
    if (this.#options.length) return;
    const labels = optionLabels(properties);
    byId("options").replaceChildren(...labels);
    this.#options = labels.map((label) => label.control);
    this.#options.forEach((field) => this.#listen(field));
    this.show(this.#shown);
  }

  get isDeclared() {
    return this.#options.length > 0;
  }

  /** What a new conversation starts with: texts by the names of their fields. */
  forNew = () => read();

  /** Show a conversation's settings, which change as the fields do. */
  show(settings) {
    this.#shown = settings;
    for (const field of this.#fields) {
      const value = String(settings[field.name] ?? "");
      const isOffered = !field.options || [...field.options].some((one) => one.value === value);
      if (isOffered) field.value = value;
      else if (!CHOSEN.includes(field.name)) field.value = "";
    }
    this.#check();
  }

  /** As `/v1/models` lists them; those that write no text are left out. */
  offerModels(cards) {
    this.#cards = cards.filter(({ aipc }) => !aipc.can.includes("embeddings"));
    this.#offer("model", this.#cards.map(({ id }) => [id, id]));
  }

  /** Take a model for this conversation, where it is offered. */
  choose(model) {
    if (this.#cards.some(({ id }) => id === model)) {
      this.#form.elements.model.value = model;
      this.#note(this.#form.elements.model);
    }
  }

  /** As `/api/machine` lists its places. */
  offerDevices(places) {
    this.#offer("device", [["", "Automatic"], ...places.map(optionOf)]);
  }

  /** What there is to know before the first question. */
  aboutModel() {
    const { state, device, context, error } = this.#card ?? {};
    return [
      this.#card && `${this.#form.elements.model.value}.`,
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
    const { model, device, system, schema, think } = this.#form.elements;
    const said = messages.map((one) => ({ role: one.role, content: sentText(one) }));
    const body = { model: model.value, messages: said };
    if (system.value.trim()) said.unshift({ role: "system", content: system.value });
    if (device.value) body.device = device.value;
    for (const field of this.#options) body[field.name] = valueOf(field); // undefined is not sent
    if (think.value) body.think = think.value === "on";
    if (this.#isJson) body.response_format = formatOf(JSON.parse(schema.value));
    return body;
  }

  get #fields() {
    return [...this.#form.elements].filter(({ name }) => name);
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
    const before = select.value || this.#shown[name];
    select.dataset.offered = offered;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    if (options.some(([value]) => value === before)) select.value = before;
    this.#check();
  }

  #listen(field) {
    field.addEventListener("input", () => this.#note(field));
  }

  #note({ name, value }) {
    this.#shown[name] = value;
    if (CHOSEN.includes(name)) keep(NAME, JSON.stringify({ ...read(), [name]: value }));
    this.#check();
    this.#onChange();
  }

  #keepForNew() {
    keep(NAME, JSON.stringify(this.#shown));
    byId("settings-told").textContent = "New chats start with these.";
  }

  #clear() {
    for (const { name } of this.#fields) if (!CHOSEN.includes(name)) delete this.#shown[name];
    this.show(this.#shown);
    this.#onChange();
  }

  #check() {
    this.#checkSchema();
    const { model } = this.#form.elements;
    model.title = model.value; // a narrow field cuts it
    const set = this.#fields.filter(({ name, value }) => !CHOSEN.includes(name) && value.trim());
    byId("settings-count").textContent = set.length ? ` (${set.length})` : "";
    byId("settings-told").textContent = "They hold in this conversation.";
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
