import { copyButton } from "./clipboard.js";
import { byId, element } from "./element.js";
import { line } from "./figures.js";
import { Markdown, renderMarkdown } from "./markdown.js";
import { fenced } from "./transcript.js";

const ENDINGS = { length: "Cut at the token limit", stopped: "Stopped", failed: "Broken off" };

/** The messages of one conversation, in the order of its list, and what is being written. */
export class View {
  #log = byId("log");
  #draft = byId("draft");
  #failure = byId("failure");
  #scroll = byId("scroll");

  /** Show other messages; a screen reader is not to read them all out. */
  show(messages) {
    this.#log.ariaLive = "off";
    this.#log.replaceChildren(...messages.map(article));
    this.#draft.replaceChildren();
    this.clearFailure();
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    setTimeout(() => (this.#log.ariaLive = "polite"));
  }

  add(message) {
    this.#following(() => this.#log.append(article(message)));
  }

  /** Take away all but the first messages. */
  cut(count) {
    [...this.#log.children].slice(count).forEach((child) => child.remove());
  }

  indexOf(node) {
    return [...this.#log.children].indexOf(node.closest("article"));
  }

  begin(message) {
    const draft = new Draft(message, (change) => this.#following(change));
    this.#following(() => this.#draft.replaceChildren(draft.node));
    return draft;
  }

  /** Put what became of the draft, or nothing, in its place: at once, so that nothing moves. */
  end(message) {
    this.#following(() => {
      this.#draft.replaceChildren();
      if (message) this.#log.append(article(message));
    });
  }

  fail(text, label, retry) {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", retry);
    this.#following(() => this.#failure.replaceChildren(element("p", {}, text), button));
  }

  clearFailure() {
    this.#failure.replaceChildren();
  }

  /** Stay at the end only where the reader is there already. */
  #following(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 60;
    change();
    if (isAtEnd) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

/** An answer being written, outside the log: screen readers read out what is added to that. */
class Draft {
  #body;
  #following;
  #markdown;
  #pending = "";
  #thinking = null; // all of it so far, where it is new
  #thought = folded("thought", "", "Thinking …");
  #frame = null;

  constructor(message, following) {
    const body = element("div", { className: "body" });
    this.node = element("article", { className: "answer", aria: { busy: true } },
      heading(message), body);
    this.#body = body;
    this.#following = following;
    this.#markdown = new Markdown(body);
    if (message.json) this.#markdown.append("```json\n");
  }

  append(text) {
    this.#pending += text;
    this.#drawSoon();
  }

  /** `text` is all that was thought so far. */
  think(text) {
    this.#thinking = text;
    this.#drawSoon();
  }

  /** Once a frame, however fast the pieces come. */
  #drawSoon() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#following(() => this.#draw());
    });
  }

  #draw() {
    if (this.#thinking !== null) {
      if (!this.#thought.isConnected) this.#body.before(this.#thought);
      this.#thought.lastElementChild.textContent = this.#thinking;
    }
    this.#markdown.append(this.#pending);
    [this.#pending, this.#thinking] = ["", null];
  }
}

function article(message) {
  return message.role === "user" ? question(message) : answer(message);
}

function question(message) {
  return element("article", { className: "question" },
    heading(message),
    ...(message.files ?? []).map(({ name, text }) => folded("file", text, name)),
    message.content ? element("div", { className: "body" }, message.content) : "",
    element("footer", {}, action("edit", "Edit")));
}

function answer(message) {
  const body = element("div", { className: "body" });
  renderMarkdown(body, message.json ? fenced(message.content) : message.content);
  const told = [ENDINGS[message.finish], message.figures && line(message.figures)];
  return element("article", { className: "answer" },
    heading(message),
    message.thinking ? folded("thought", message.thinking, "Thought before it answered") : "",
    body,
    element("footer", {},
      element("p", { className: "figures" }, told.filter(Boolean).join(" · ")),
      copyButton("Copy", message.content),
      action("regenerate", "Regenerate")));
}

/** What was thought, or a file: so that the rest is what is seen. */
function folded(kind, text, label) {
  return element("details", { className: `folded ${kind}` },
    element("summary", {}, label),
    element("div", {}, text));
}

function heading({ role, model, device }) {
  if (role === "user") return element("h2", {}, "You");
  return element("h2", {}, model || "Answer", element("span", {}, device ? ` on ${device}` : ""));
}

const action = (name, label) =>
  element("button", { type: "button", className: "quiet", data: { action: name } }, label);
