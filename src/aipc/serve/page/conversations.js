import { byId, element } from "./element.js";
import { newConversation, past, titleOf } from "./history.js";

/** The list of kept conversations. */
export class Conversations {
  #chat;

  constructor(chat) {
    this.#chat = chat;
    addEventListener("storage", () => this.show()); // another tab has changed them
  }

  show() {
    const kept = past.list();
    byId("past").replaceChildren(...kept.map((one) => this.#item(one)));
    byId("past-none").hidden = kept.length > 0;
  }

  #item(kept) {
    const title = titleOf(kept);
    const opener = element("button", { type: "button", className: "open", title }, title);
    if (kept.id === this.#chat.conversation.id) opener.ariaCurrent = "true";
    opener.addEventListener("click", () => this.#chat.open(past.find(kept.id) ?? kept));
    const remover = element("button",
      { type: "button", className: "quiet", aria: { label: `Delete “${title}”` } }, "×");
    remover.addEventListener("click", () => this.#remove(kept));
    return element("li", {}, opener, remover);
  }

  #remove(kept) {
    past.remove(kept.id);
    if (kept.id === this.#chat.conversation.id) this.#chat.open(newConversation());
    const undo = element("button", { type: "button", className: "quiet" }, "Undo");
    undo.addEventListener("click", () => {
      past.save(kept);
      this.#chat.open(kept);
    });
    this.#chat.tell(`Deleted “${titleOf(kept)}”. `, undo);
    undo.focus();
    this.show();
  }
}
