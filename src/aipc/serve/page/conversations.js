import { byId, element } from "./element.js";
import { pickFiles } from "./files.js";
import { newConversation, past, titleOf } from "./history.js";
import { fromJson } from "./transcript.js";

const LARGEST = 20_000_000; // bytes of a file that is read: far more than a browser keeps

/** The list of kept conversations: found, opened, renamed, deleted and taken in. */
export class Conversations {
  #chat;
  #isRenaming = false;

  constructor(chat) {
    this.#chat = chat;
    addEventListener("storage", () => this.show()); // another tab has changed them
    byId("search").addEventListener("input", () => this.show());
    byId("import").addEventListener("click", async () => {
      for (const file of await pickFiles({ accept: ".json" })) await this.#import(file);
    });
  }

  show() {
    if (this.#isRenaming) return; // the field would be gone
    const kept = past.list();
    const sought = byId("search").value.trim().toLowerCase();
    const found = kept.filter((one) => holds(one, sought));
    byId("past").replaceChildren(...found.map((one) => this.#item(one)));
    byId("past-none").hidden = found.length > 0;
    byId("past-none").textContent =
      kept.length ? "Nothing found." : "None yet. They are kept in this browser only.";
  }

  #item(kept) {
    const title = titleOf(kept);
    const opener = element("button",
      { type: "button", className: "open", title, data: { id: kept.id } }, title);
    const item = element("li", {}, opener);
    const rename = () => this.#rename(kept, item);
    if (kept.id === this.#chat.conversation.id) opener.ariaCurrent = "true";
    opener.addEventListener("click", () => this.#chat.open(past.find(kept.id) ?? kept));
    opener.addEventListener("keydown", ({ key }) => key === "F2" && rename());
    item.append(
      small("rename", "✎", `Rename “${title}”`, rename),
      small("remove", "×", `Delete “${title}”`, () => this.#remove(kept)));
    return item;
  }

  #rename(kept, item) {
    const field = element("input", { value: titleOf(kept), maxLength: 60 });
    const end = (title) => {
      if (!this.#isRenaming) return; // what takes the field away also blurs it
      this.#isRenaming = false;
      if (title !== null) this.#name(kept, title.trim());
      this.show();
      const openers = [...byId("past").querySelectorAll(".open")];
      openers.find(({ dataset }) => dataset.id === kept.id)?.focus();
    };
    field.addEventListener("blur", () => end(field.value));
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.stopPropagation();
      event.preventDefault(); // the button that gets the focus is not to be pressed by it
      end(event.key === "Enter" ? field.value : null);
    });
    this.#isRenaming = true;
    const label = element("span", { className: "unseen" }, "Title");
    item.replaceChildren(element("label", {}, label, field));
    field.select();
  }

  /** An empty title is the first question again. */
  #name(kept, title) {
    if (title === titleOf(kept)) return;
    if (kept.id === this.#chat.conversation.id) this.#chat.rename(title);
    else past.save({ ...(past.find(kept.id) ?? kept), title });
  }

  async #import(file) {
    const taken = file.size <= LARGEST ? fromJson(await file.text()) : null;
    const told = taken ? past.save(taken) : `“${file.name}” is no conversation exported as JSON.`;
    if (taken) this.#chat.open(taken);
    this.#chat.tell(told);
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

function small(kind, sign, label, onClick) {
  const button = element("button",
    { type: "button", className: `quiet ${kind}`, title: label, aria: { label } }, sign);
  button.addEventListener("click", onClick);
  return button;
}

function holds(conversation, sought) {
  const texts = [titleOf(conversation), ...conversation.messages.map(({ content }) => content)];
  return texts.some((text) => text.toLowerCase().includes(sought));
}
