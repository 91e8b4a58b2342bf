const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`;

/** What one answer took, as the reader of the page saw it. */
export class Figures {
  #asked = performance.now();
  #first = null;
  #last = null;
  #pieces = 0;
  #usage = null;
  #timings = null;

  note(chunk) {
    this.#usage = chunk.usage ?? this.#usage;
    this.#timings = chunk.timings ?? this.#timings;
    const delta = chunk.choices?.[0]?.delta;
    if (!delta?.content && !delta?.reasoning_content) return;
    this.#last = performance.now();
    this.#first ??= this.#last;
    this.#pieces += 1;
  }

  /** Exact where the server has told; until then pieces stand for tokens, and `isAbout` says so. */
  get told() {
    const tokens = this.#usage?.completion_tokens ?? this.#pieces;
    const took = (this.#last - this.#first) / 1000;
    return {
      isAbout: !this.#usage,
      tokens,
      promptTokens: this.#usage?.prompt_tokens ?? null,
      firstToken: this.#first && (this.#first - this.#asked) / 1000,
      rate: this.#timings?.decode_tokens_per_s ?? (took > 0 ? (tokens - 1) / took : null),
    };
  }

  get live() {
    const waited = (performance.now() - this.#asked) / 1000;
    return this.#first ? line(this.told) : `no token yet after ${waited.toFixed(1)} s`;
  }
}

/** One line, leaving out what nobody measured. */
export function line({ isAbout, tokens, promptTokens, firstToken, rate }) {
  const about = isAbout ? "about " : "";
  return [
    rate && `${about}${rate.toFixed(1)} tokens/s`,
    firstToken && `first token ${seconds(firstToken)}`,
    tokens && `${about}${tokens.toLocaleString("en")} ${tokens === 1 ? "token" : "tokens"}`,
    promptTokens && `prompt of ${promptTokens.toLocaleString("en")}`,
  ].filter(Boolean).join(" · ");
}
