import { element } from "./element.js";

const MODEL = "Model’s own";
/** What is offered, in its order: name, label, and what holds where it is left empty. */
const OFFERED = [
  ["temperature", "Temperature", MODEL],
  ["max_tokens", "Token limit", "Server’s own"],
  ["top_p", "Top p", MODEL],
  ["top_k", "Top k", MODEL],
  ["min_p", "Min p", MODEL],
  ["repetition_penalty", "Repetition penalty", MODEL],
  ["presence_penalty", "Presence penalty", "None"],
  ["frequency_penalty", "Frequency penalty", "None"],
  ["seed", "Seed", "Drawn"],
  ["thinking_budget", "Thinking budget", "None"],
  ["reasoning_effort", "Reasoning effort", MODEL],
  ["stop", "Stop at (one text a line)", "None"],
];

/** Labelled fields of the options that the server declares, with its bounds and its help. */
export function optionLabels(properties) {
  return OFFERED.filter(([name]) => properties[name]).map(([name, label, empty]) => {
    const help = (properties[name].description ?? "").replace(/^extension[^:]*: /, "");
    const field = fieldOf(kindOf(properties[name]), empty);
    return element("label", {}, label, Object.assign(field, { name, title: help }));
  });
}

/** What an option's field asks for; undefined for nothing. */
export function valueOf(field) {
  if (field.value.trim() === "") return undefined;
  if (field.type === "number") return field.valueAsNumber;
  if (field.type === "textarea") return field.value.split("\n").filter(Boolean);
  return field.value;
}

/** Every option may be null too. */
const kindOf = ({ anyOf, ...plain }) => anyOf?.find(({ type }) => type !== "null") ?? plain;

function fieldOf({ type, enum: choices, minimum, maximum }, placeholder) {
  if (choices) {
    const options = [new Option(placeholder, ""), ...choices.map((one) => new Option(one, one))];
    return element("select", {}, ...options);
  }
  if (type !== "number" && type !== "integer") return element("textarea", { rows: 2, placeholder });
  const isWhole = type === "integer";
  return element("input", {
    type: "number",
    placeholder,
    step: isWhole ? "1" : "any",
    min: minimum ?? "",
    // A whole number above this would be another one by the time it is sent.
    max: maximum ?? (isWhole ? Number.MAX_SAFE_INTEGER : ""),
  });
}
