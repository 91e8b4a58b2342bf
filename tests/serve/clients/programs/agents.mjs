// OpenAI's agents package, over responses or (--chat) chat completions.
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run as runAgent, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { Answer, Place, failure, key, long, model, question, run, sunny, url, weather } from "./turns.mjs";

setTracingDisabled(true);
const Model = process.argv[2] === "--chat" ? OpenAIChatCompletionsModel : OpenAIResponsesModel;
process.argv.splice(2, 1);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const made = (toolChoice, more) => new Agent({
  name: "helper", instructions: "Be brief.", model: new Model(client, model),
  modelSettings: { temperature: 0, maxTokens: long, toolChoice }, ...more,
});
const finder = (execute) => tool({ name: "find_weather", description: "The weather in a city.", parameters: Place, execute });

async function callTool(execute) {
  const told = await runAgent(made("required", { tools: [finder(execute)] }), weather, { maxTurns: 3 });
  const calls = told.newItems.filter((item) => item.type === "tool_call_item").map(({ rawItem }) => rawItem);
  return { calls: calls.map((call) => ({ name: call.name, args: JSON.parse(call.arguments) })), text: told.finalOutput };
}

await run({
  plain: async () => (await runAgent(made(), question)).finalOutput,

  async stream() {
    const told = await runAgent(made(), question, { stream: true });
    const pieces = [];
    for await (const piece of told.toTextStream()) pieces.push(piece);
    return pieces;
  },

  tools: () => callTool(() => sunny),
  error: () => callTool(() => { throw new Error(failure); }),
  typed: async () => (await runAgent(made(undefined, { outputType: Answer }), question)).finalOutput,
});
