/**
 * The events of a `text/event-stream` body, as WHATWG's HTML standard reads them:
 * `{data}` for each event and `{comment}` for each comment line.
 */
export async function* readEvents(body) {
  let data = [];
  for await (const line of readLines(body)) {
    if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    else if (line === "" && data.length) {
      yield { data: data.join("\n") };
      data = [];
    }
  }
}

/** Each whole line of a body, without its end. */
export async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      // A carriage return that ends a piece may be half of a line's end.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => {}); // the reader of an aborted request is closed already
  }
}
