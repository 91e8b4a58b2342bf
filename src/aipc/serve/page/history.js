import { keep, lasting } from "./storage.js";

const PREFIX = "aipc.conversation.";
const MOST_CHARACTERS = 4_000_000; // browsers give an origin about five million

/**
 * A message is `{role, content}`; a question may have `files`, of `{name, text}`, and an answer has
 * `model`, `device`, `finish`, `figures`. `settings` are texts by the names of their fields; `title`
 * is one that a person gave.
 */
export function newConversation() {
  return { id: crypto.randomUUID?.() ?? `${Date.now()}`, updated: Date.now(), messages: [] };
}

export function titleOf(conversation) {
  if (conversation.title) return conversation.title;
  const { content = "", files = [] } = conversation.messages[0] ?? {};
  const question = content.trim().split("\n")[0] || (files[0]?.name ?? "");
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
    const kept = conversationOf(JSON.parse(lasting.getItem(name)));
    return name === PREFIX + kept.id ? kept : null;
  } catch {
    return null;
  }
}

/**
 * What is known of a conversation, of the right types: other programs may have written it.
 *
 * Throws for what is none.
 */
export function conversationOf({ id, updated, title, settings, messages }) {
  if (!messages.every(isMessage)) throw new TypeError("no conversation");
  return {
    id,
    updated: Number(updated) || 0,
    title: typeof title === "string" ? title.slice(0, 60) : undefined,
    // Without any it takes those of new ones.
    settings: settings && typeof settings === "object" ? { ...settings } : undefined,
    messages: messages.map(messageOf),
  };
}

const isMessage = ({ role, content }) =>
  ["user", "assistant"].includes(role) && typeof content === "string";

const isFile = (file) => typeof file?.name === "string" && typeof file.text === "string";

function messageOf(message) {
  const kept = { role: message.role, content: message.content };
  for (const name of ["model", "device", "finish", "thinking"]) {
    if (typeof message[name] === "string") kept[name] = message[name];
  }
  const files = Array.isArray(message.files) ? message.files.filter(isFile) : [];
  if (files.length) kept.files = files.map(({ name, text }) => ({ name, text }));
  if (message.json === true) kept.json = true;
  if (message.figures && typeof message.figures === "object") {
    const isFigure = ([, value]) => Number.isFinite(value) || value === true;
    kept.figures = Object.fromEntries(Object.entries(message.figures).filter(isFigure));
  }
  return kept;
}
