import { element } from "./element.js";

const LARGEST = 256 * 1024; // bytes; some 60,000 tokens, more than most models have room for

/** Let a person choose files; none where the choice is given up. */
export function pickFiles({ accept = "", multiple = false } = {}) {
  const input = element("input", { type: "file", accept, multiple });
  return new Promise((chosen) => {
    input.addEventListener("change", () => chosen([...input.files]));
    input.addEventListener("cancel", () => chosen([]));
    input.click();
  });
}

/** `{name, text}` of a file, or `{fault}`: why it can't be attached, as a plain line. */
export async function readText(file) {
  const limit = `${LARGEST / 1024} KiB`;
  if (file.size > LARGEST) return { fault: `“${file.name}” is larger than ${limit}.` };
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const text = decoder.decode(await file.arrayBuffer());
    if (!text.includes("\0")) return { name: file.name, text };
  } catch {
    // Told below: bytes that are no UTF-8, or a folder.
  }
  return { fault: `“${file.name}” is no text in UTF-8.` };
}

/** What a model is sent: the message's files, each in a fence that it can't close, and its text. */
export function sentText({ content, files = [] }) {
  return [...files.map(fenced), content].filter(Boolean).join("\n\n");
}

function fenced({ name, text }) {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `File ${name}:\n\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}
