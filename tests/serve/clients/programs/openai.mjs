// The openai package with schemas of zod.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { Answer, Place, failure, key, long, model, question, run, short, sunny, url, weather } from "./turns.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const greedy = { model, temperature: 0 };
const messages = [{ role: "user", content: question }];
const tool = zodFunction({ name: "find_weather", parameters: Place, description: "The weather in a city." });

async function callTool(content) {
  const asked = [{ role: "user", content: weather }];
  const called = await client.chat.completions.parse({
    ...greedy, messages: asked, tools: [tool], tool_choice: "required", max_tokens: long,
  });
  const { message } = called.choices[0];
  const told = message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content }));
  const later = await client.chat.completions.create({
    ...greedy, messages: [...asked, message, ...told], tools: [tool], max_tokens: short,
  });
  const calls = message.tool_calls.map(({ function: f }) => ({ name: f.name, args: f.parsed_arguments }));
  return { calls, text: later.choices[0].message.content };
}

await run({
  async plain() {
    const reply = await client.chat.completions.create({ ...greedy, messages, max_tokens: short });
    return reply.choices[0].message.content;
  },

  async stream() {
    const pieces = [];
    const chunks = await client.chat.completions.create({
      ...greedy, messages, max_tokens: short, stream: true, stream_options: { include_usage: true },
    });
    for await (const chunk of chunks) pieces.push(chunk.choices[0]?.delta?.content ?? "");
    return pieces;
  },

  tools: () => callTool(sunny),
  error: () => callTool(failure),

  async typed() {
    const response_format = zodResponseFormat(Answer, "answer");
    const reply = await client.chat.completions.parse({ ...greedy, messages, response_format, max_tokens: long });
    return reply.choices[0].message.parsed;
  },

  async responses_typed() {
    const text = { format: zodTextFormat(Answer, "answer") };
    const reply = await client.responses.parse({ ...greedy, input: question, text, max_output_tokens: long });
    return reply.output_parsed;
  },
});
