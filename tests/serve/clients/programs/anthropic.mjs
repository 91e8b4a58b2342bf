// Anthropic's own package.
import Anthropic from "@anthropic-ai/sdk";
import { z } from "zod";
import { Answer, Place, failure, key, long, model, question, run, short, sunny, url, weather } from "./turns.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const tools = [{ name: "find_weather", description: "The weather in a city.", input_schema: z.toJSONSchema(Place) }];

async function callTool(content, is_error) {
  const asked = { role: "user", content: weather };
  const called = await client.messages.create({ model, tools, messages: [asked], max_tokens: long, tool_choice: { type: "any" } });
  const calls = called.content.filter((block) => block.type === "tool_use");
  const told = calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: [{ type: "text", text: content }], is_error }));
  const history = [asked, { role: "assistant", content: called.content }, { role: "user", content: told }];
  const later = await client.messages.create({ model, tools, messages: history, max_tokens: short });
  const text = later.content.filter((block) => block.type === "text").map((block) => block.text).join("");
  return { calls: calls.map(({ name, input }) => ({ name, args: input })), text };
}

await run({
  plain: async () => (await client.messages.create({ model, messages, max_tokens: short })).content[0].text,

  async stream() {
    const pieces = [];
    const reply = client.messages.stream({ model, messages, max_tokens: short }).on("text", (text) => pieces.push(text));
    await reply.finalMessage();
    return pieces;
  },

  tools: () => callTool(sunny, false),
  error: () => callTool(failure, true),

  async typed() {
    // Given as it is: the package's zodOutputFormat leaves a schema's bounds out.
    const output_config = { format: { type: "json_schema", schema: z.toJSONSchema(Answer) } };
    const reply = await client.messages.create({ model, messages, max_tokens: long, output_config });
    return Answer.parse(JSON.parse(reply.content[0].text));
  },
});
