import { byId } from "./element.js";

const HINT = "A short name, such as phi-3-mini, or a hub’s id, such as org/model.";

/** The dialog that fetches a model into the server's store: asked for, confirmed, watched. */
export class Pulling {
  #server;
  #onPulled;
  #confirmed = ""; // the name whose fetching the next press begins
  #running = null; // the AbortController of the model being fetched

  /** `onPulled` gets the name of a model that is whole. */
  constructor(server, onPulled) {
    [this.#server, this.#onPulled] = [server, onPulled];
    byId("get").addEventListener("click", () => this.#open());
    byId("get-close").addEventListener("click", () => byId("get-dialog").close());
    byId("get-dialog").addEventListener("close", () => this.#running?.abort());
    byId("get-name").addEventListener("input", () => this.#ask(HINT));
    byId("get-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#go(byId("get-name").value.trim());
    });
  }

  set isAllowed(isAllowed) {
    byId("get").hidden = !isAllowed;
  }

  #open() {
    byId("get-name").value = "";
    this.#ask(HINT);
    byId("get-dialog").showModal();
  }

  #go(name) {
    if (!name || this.#running) return;
    if (name === this.#confirmed) {
      this.#pull(name);
      return;
    }
    this.#ask(`“${name}” is fetched from the hub into this server’s store: often several ` +
      "gigabytes. Do you trust who published it?");
    this.#confirmed = name;
    byId("get-go").textContent = "Fetch it";
  }

  /** Begin anew, with something told. */
  #ask(told) {
    this.#confirmed = "";
    this.#show(told, "Continue");
  }

  async #pull(name) {
    this.#running = new AbortController();
    this.#show("Asking the hub …", "");
    try {
      for await (const step of this.#server.pull(name, this.#running.signal)) this.#note(step);
      await this.#onPulled(name);
      byId("get-dialog").close();
    } catch (error) {
      const isStopped = this.#running.signal.aborted;
      this.#ask(isStopped ? "Stopped; fetching it again goes on." : error.message);
    } finally {
      this.#running = null;
      byId("get-name").disabled = false;
    }
  }

  #note({ status, total, completed }) {
    byId("get-told").textContent = total ? `${status}: ${sizes(completed, total)}` : status;
    const progress = byId("get-progress");
    if (total) [progress.max, progress.value] = [total, completed];
    else progress.removeAttribute("value");
  }

  /** Without a `label` it is being fetched. */
  #show(told, label) {
    byId("get-told").textContent = told;
    byId("get-progress").hidden = Boolean(label);
    byId("get-progress").removeAttribute("value");
    byId("get-name").disabled = !label;
    byId("get-go").hidden = !label;
    byId("get-go").textContent = label;
    byId("get-close").textContent = label ? "Cancel" : "Stop";
    if (!label) byId("get-close").focus(); // the button that was pressed is gone
  }
}

function sizes(done, total) {
  const [unit, name] = total >= 1e9 ? [1e9, "GB"] : [1e6, "MB"];
  return `${(done / unit).toFixed(1)} of ${(total / unit).toFixed(1)} ${name}`;
}
