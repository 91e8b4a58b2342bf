import { Composer } from "./composer.js";
import { Figures, line } from "./figures.js";
import { newConversation, past } from "./history.js";

/** One conversation at a time: its questions, and the answer being written. */
export class Chat {
  conversation = newConversation();
  #composer;
  #view;
  #server;
  #settings;
  #onChange;
  #onAnswer;
  #running = null; // the AbortController of the answer being written
  #place = ""; // in the queue, in words; empty once the answer has begun
  #editing = null; // the index of the question that the next one replaces

  /** `onAnswer` is awaited after each answer, before it is kept. */
  constructor({ view, server, settings, onChange, onAnswer }) {
    [this.#view, this.#server, this.#settings] = [view, server, settings];
    [this.#onChange, this.#onAnswer] = [onChange, onAnswer];
    this.#composer = new Composer({
      onSend: (question) => this.#ask(question),
      onStop: () => this.stop(),
      onEditLast: () => this.#editLast(),
    });
  }

  get isRunning() {
    return this.#running !== null;
  }

  get isWaiting() {
    return this.#place !== "";
  }

  open(conversation) {
    this.stop();
    this.stopEditing();
    this.conversation = conversation;
    conversation.settings ??= this.#settings.forNew();
    this.#settings.show(conversation.settings);
    this.#view.show(conversation.messages);
    if (conversation.messages.at(-1)?.role === "user") {
      this.#view.fail("This question has no answer yet.", "Ask again", () => this.answer());
    }
    this.tell("");
    this.#composer.focus();
    this.#onChange();
  }

  stop() {
    this.#running?.abort();
  }

  edit(index) {
    this.#editing = index;
    this.#composer.fill(this.conversation.messages[index]);
    this.tell("Editing: sending replaces this question and all after it. Esc leaves it as it was.");
  }

  /** False where there is no question to edit, or an answer is being written. */
  #editLast() {
    const last = this.conversation.messages.findLastIndex(({ role }) => role === "user");
    if (last === -1 || this.isRunning) return false;
    this.edit(last);
    return true;
  }

  stopEditing() {
    if (this.#editing === null) return;
    this.#editing = null;
    this.#composer.clear();
    this.tell("");
  }

  tell(text, ...controls) {
    this.#composer.tell(text, ...controls);
  }

  rename(title) {
    this.conversation.title = title;
    this.save();
    this.#onChange();
  }

  /** As it stands, at its place in the list; one without a message is not kept. */
  save() {
    const told = this.conversation.messages.length ? past.save(this.conversation) : "";
    if (told) this.tell(told);
  }

  async #ask(question) {
    if (this.#running || !this.#settings.isSound()) return;
    const { messages } = this.conversation;
    if (this.#editing !== null) messages.length = this.#editing;
    this.#view.cut(messages.length);
    this.stopEditing();
    this.#composer.clear();
    messages.push({ role: "user", ...question });
    this.#view.add(messages.at(-1));
    await this.answer();
  }

  /** Answer the last question; an answer that it has already is replaced once there is another. */
  async answer() {
    if (this.#running || !this.#settings.isSound()) return;
    const asked = this.conversation;
    const isAnswered = asked.messages.at(-1).role === "assistant";
    const said = isAnswered ? asked.messages.slice(0, -1) : [...asked.messages];
    this.#view.cut(said.length);
    this.#view.clearFailure();
    this.tell("");
    this.#running = new AbortController();
    this.#composer.isAnswering = true;
    this.#keep(asked);
    const message = this.#settings.blankAnswer();
    const failure = await this.#write(message, this.#settings.request(said));
    if (!failure) await this.#onAnswer();
    message.device ||= this.#settings.place; // a model that had to be loaded has one only now
    this.#running = null;
    this.#composer.isAnswering = false;
    if (message.content || message.thinking) asked.messages.splice(said.length, 1, message);
    if (asked === this.conversation) this.#showEnd(said.length, message.finish, failure);
    this.#keep(asked);
  }

  /** Fill the message in as it comes; give the error that ended it, if one did. */
  async #write(message, request) {
    const { signal } = this.#running;
    const draft = this.#view.begin(message);
    const figures = new Figures();
    const show = () => (this.#composer.figures = this.#progress(figures));
    const ticking = setInterval(show, 200);
    try {
      for await (const chunk of this.#server.complete(request, signal)) {
        this.#wait(placeOf(chunk.waiting));
        figures.note(chunk);
        const { delta, finish_reason: finish } = chunk.choices?.[0] ?? {};
        message.content += delta?.content ?? "";
        message.finish = finish ?? message.finish;
        if (delta?.reasoning_content) {
          message.thinking = (message.thinking ?? "") + delta.reasoning_content;
          draft.think(message.thinking);
        }
        draft.append(delta?.content ?? "");
      }
      return null;
    } catch (error) {
      message.finish = signal.aborted ? "stopped" : "failed";
      return signal.aborted ? null : error;
    } finally {
      clearInterval(ticking);
      this.#wait("");
      message.figures = figures.told;
    }
  }

  #wait(place) {
    if (place !== this.#place) this.tell(place);
    this.#place = place;
  }

  #progress(figures) {
    const doing = this.isWaiting && this.#settings.doing;
    return doing ? `${doing} · ${figures.live}` : figures.live;
  }

  #showEnd(at, finish, failure) {
    const answered = this.conversation.messages[at];
    const again = () => this.answer();
    this.#view.end(answered);
    if (failure) this.#view.fail(failure.message, "Try again", again);
    else if (!answered) this.#view.fail("There is no answer.", "Ask again", again);
    if (finish === "stopped") this.tell("Stopped.");
  }

  #keep(conversation) {
    conversation.updated = Date.now();
    const told = past.save(conversation);
    if (told) this.tell(told);
    this.#onChange();
  }
}

/** The first place is also that of an answer whose model is being loaded. */
function placeOf(waiting) {
  if (!waiting) return "";
  return waiting === 1 ? "Waiting for the model." : `Waiting: number ${waiting} in the queue.`;
}
