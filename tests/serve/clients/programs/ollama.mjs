// Ollama's own package.
import { Ollama } from "ollama";
import { z } from "zod";
import { Answer, Place, failure, key, long, model, question, run, short, sunny, url, weather } from "./turns.mjs";

const client = new Ollama({ host: url, headers: { Authorization: `Bearer ${key}` } });
const messages = [{ role: "user", content: question }];
const options = (num_predict) => ({ temperature: 0, num_predict });
const tools = [{
  type: "function",
  function: { name: "find_weather", description: "The weather in a city.", parameters: z.toJSONSchema(Place) },
}];

// Ollama's API can't force a call: the turn after one is asked either way.
async function callTool(content) {
  const asked = { role: "user", content: weather };
  const { message } = await client.chat({ model, tools, messages: [asked], options: options(long) });
  const calls = message.tool_calls ?? [{ function: { name: "find_weather", arguments: { city: "Paris" } } }];
  const told = calls.map(({ function: f }) => ({ role: "tool", tool_name: f.name, content }));
  const history = [asked, { ...message, content: "", tool_calls: calls }, ...told];
  const later = await client.chat({ model, tools, messages: history, options: options(short) });
  return { calls: calls.map(({ function: f }) => ({ name: f.name, args: f.arguments })), text: later.message.content };
}

await run({
  plain: async () => (await client.chat({ model, messages, options: options(short) })).message.content,
  generate: async () => (await client.generate({ model, prompt: question, options: options(short) })).response,

  async stream() {
    const pieces = [];
    for await (const part of await client.chat({ model, messages, stream: true, options: options(short) })) {
      pieces.push(part.message.content);
    }
    return pieces;
  },

  tools: () => callTool(sunny),
  error: () => callTool(failure),

  async typed() {
    const reply = await client.chat({ model, messages, format: z.toJSONSchema(Answer), options: options(long) });
    return Answer.parse(JSON.parse(reply.message.content));
  },
});
