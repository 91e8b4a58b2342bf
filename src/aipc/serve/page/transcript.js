import { element } from "./element.js";
import { sentText } from "./files.js";
import { conversationOf, newConversation, titleOf } from "./history.js";

export function asMarkdown(conversation) {
  const parts = conversation.messages.map((message) => {
    const { role, model, json } = message;
    const content = sentText(message);
    const heading = role === "user" ? "Question" : `Answer${model ? ` of ${model}` : ""}`;
    return `## ${heading}\n\n${json ? fenced(content) : content}`;
  });
  return [`# ${titleOf(conversation)}`, ...parts].join("\n\n") + "\n";
}

export const asJson = (conversation) => JSON.stringify(conversation, null, 2) + "\n";

/** A new conversation with what an exported one holds; null for any other text. */
export function fromJson(text) {
  try {
    const taken = conversationOf(JSON.parse(text));
    return taken.messages.length ? { ...taken, ...nameless(newConversation()) } : null;
  } catch {
    return null;
  }
}

const nameless = ({ id, updated }) => ({ id, updated });

export const fenced = (json) => "```json\n" + json + "\n```";

/** Hand the browser a file to keep. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000); // the download has begun by then
}
