// LangChain.js over the wire that the first argument names.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOllama } from "@langchain/ollama";
import { ChatOpenAI } from "@langchain/openai";
import { Answer, Place, failure, key, long, model, question, run, short, sunny, url, weather } from "./turns.mjs";

const bearer = { Authorization: `Bearer ${key}` };
const openai = (more) => new ChatOpenAI({ apiKey: key, configuration: { baseURL: `${url}/v1` }, ...more });
const makers = {
  chat: (more) => openai(more),
  responses: (more) => openai({ ...more, useResponsesApi: true }),
  anthropic: (more) => new ChatAnthropic({ apiKey: key, anthropicApiUrl: url, ...more }),
  ollama: ({ maxTokens, ...more }) => new ChatOllama({ baseUrl: url, headers: bearer, numPredict: maxTokens, ...more }),
};
const [wire] = process.argv.splice(2, 1);
const chat = (maxTokens) => makers[wire]({ model, temperature: 0, maxRetries: 0, maxTokens });
const findWeather = tool(() => sunny, { name: "find_weather", description: "The weather in a city.", schema: Place });
const forced = { chat: "required", anthropic: "any" }[wire]; // over responses it leaves the choice out

async function callTool(content, status) {
  const asked = new HumanMessage(weather);
  const called = await chat(long).bindTools([findWeather], { tool_choice: forced }).invoke([asked]);
  const told = called.tool_calls.map(({ id, name }) => new ToolMessage({ content, tool_call_id: id, name, status }));
  const later = await chat(short).bindTools([findWeather]).invoke([asked, called, ...told]);
  return { calls: called.tool_calls, text: later.text };
}

await run({
  plain: async () => (await chat(short).invoke(question)).text,

  async stream() {
    const pieces = [];
    for await (const chunk of await chat(short).stream(question)) pieces.push(chunk.text);
    return pieces;
  },

  tools: () => callTool(sunny, "success"),
  error: () => callTool(failure, "error"),
  typed: () => chat(long).withStructuredOutput(Answer, { method: "jsonSchema" }).invoke(question),
});
