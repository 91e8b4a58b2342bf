import { readEvents, readLines } from "./sse.js";
import { ofTab } from "./storage.js";

const KEY = "aipc.key";

/** One plain line, as the server told it. */
export class ServerError extends Error {}

export class Server {
  #askForKey;
  #asking = null;

  /** `askForKey(wasRefused)` gives a promise of a key, or of null. */
  constructor(askForKey) {
    this.#askForKey = askForKey;
  }

  models = async () => (await (await this.#fetch("v1/models")).json()).data;

  /** The members of a chat completion's body, as the server's OpenAPI document has them. */
  async declared() {
    const { paths, components } = await (await this.#fetch("openapi.json")).json();
    const { content } = paths["/v1/chat/completions"].post.requestBody;
    const name = content["application/json"].schema.$ref.split("/").at(-1);
    return components.schemas[name].properties;
  }

  /** Without asking for a key: it is called every other second. */
  machine = async () => (await this.#fetch("api/machine", { isQuiet: true })).json();

  /** The chunks of a streamed chat completion, and `{waiting: N}` while it waits in the queue. */
  async *complete(body, signal) {
    const asked = { ...body, stream: true, stream_options: { include_usage: true } };
    const response = await this.#fetch("v1/chat/completions", { body: asked, signal });
    for await (const { data, comment } of readEvents(response.body)) {
      const waiting = /^waiting (\d+)/.exec(comment ?? "");
      if (waiting) yield { waiting: Number(waiting[1]) };
      if (data === "[DONE]") return;
      if (data) yield checked(JSON.parse(data));
    }
    throw new ServerError("The connection ended before the answer was whole.");
  }

  /** Fetch a model into this server's store: `{status, total, completed}` for each step. */
  async *pull(model, signal) {
    const { body } = await this.#fetch("api/pull", { body: { model }, signal });
    let isWhole = false;
    for await (const line of readLines(body)) {
      if (!line) continue;
      const step = checked(JSON.parse(line));
      isWhole = step.status === "success";
      yield step;
    }
    if (!isWhole) throw new ServerError("The connection ended before the model was whole.");
  }

  async #fetch(path, { body, signal, isQuiet = false } = {}) {
    const response = await this.#send(path, body, signal);
    if (response.ok) return response;
    if (response.status !== 401 || isQuiet || !(await this.#getKey())) {
      throw new ServerError(await reasonOf(response));
    }
    return this.#fetch(path, { body, signal });
  }

  async #send(path, body, signal) {
    const key = ofTab.getItem(KEY);
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    if (body) headers["Content-Type"] = "application/json";
    const method = body ? "POST" : "GET";
    try {
      return await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServerError("The server can’t be reached; see that aipc serve is running.");
    }
  }

  /** One question at a time, however many requests want a key. */
  async #getKey() {
    this.#asking ??= this.#askForKey(ofTab.getItem(KEY) !== null);
    const key = await this.#asking;
    this.#asking = null;
    if (key) ofTab.setItem(KEY, key);
    return Boolean(key);
  }
}

function checked(chunk) {
  if (chunk.error) throw new ServerError(told(chunk.error));
  return chunk;
}

async function reasonOf(response) {
  const answer = await response.json().catch(() => null);
  return answer?.error ? told(answer.error) : `The server answered ${response.status}.`;
}

/** Ollama's paths tell the text alone. */
const told = (error) => error.message ?? String(error);
