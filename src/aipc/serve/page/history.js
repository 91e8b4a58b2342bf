import { keep, lasting } from "./storage.js";

const PREFIX = "aipc.conversation.";
const MOST_CHARACTERS = 4_000_000; // browsers give an origin about five million

/** A message is `{role, content}`; an answer has `model`, `device`, `finish`, `figures` too. */
export function newConversation() {
  return { id: crypto.randomUUID?.() ?? `${Date.now()}`, updated: Date.now(), messages: [] };
}

export function titleOf(conversation) {
  const question = conversation.messages[0]?.content.trim().split("\n")[0] ?? "";
  return question.length > 60 ? `${question.slice(0, 59)}…` : question || "Untitled";
}

/** Conversations in this browser, one item of storage each, so that two tabs never overwrite. */
export const past = {
  /** Latest first. */
  list() {
    const names = Array.from({ length: lasting.length }, (_, at) => lasting.key(at));
    const kept = names.filter((name) => name?.startsWith(PREFIX)).map(read).filter(Boolean);
    return kept.sort((one, other) => other.updated - one.updated);
  },

  find: (id) => read(PREFIX + id),

  /** Give a plain line where the browser's room ran out, else nothing. */
  save(conversation) {
    const text = JSON.stringify(conversation);
    const others = this.list().filter(({ id }) => id !== conversation.id);
    let room = MOST_CHARACTERS - text.length - others.reduce((sum, one) => sum + sizeOf(one), 0);
    let removed = 0;
    for (;;) {
      if (room >= 0 && keep(PREFIX + conversation.id, text)) break;
      const oldest = others.pop();
      if (!oldest) return "This conversation is too long for the browser to keep; export it.";
      room += sizeOf(oldest);
      this.remove(oldest.id);
      removed += 1;
    }
    return removed ? `The browser’s room is used up: ${removed} of the oldest chats removed.` : "";
  },

  remove(id) {
    lasting.removeItem(PREFIX + id);
  },
};

const sizeOf = (conversation) => lasting.getItem(PREFIX + conversation.id)?.length ?? 0;

/** Null for what is no conversation: other programs may have used this origin. */
function read(name) {
  try {
    const kept = JSON.parse(lasting.getItem(name));
    const isWhole = name === PREFIX + kept.id && kept.messages.every(isMessage);
    return isWhole ? { ...kept, updated: Number(kept.updated) || 0 } : null;
  } catch {
    return null;
  }
}

const isMessage = ({ role, content }) =>
  ["user", "assistant"].includes(role) && typeof content === "string";
