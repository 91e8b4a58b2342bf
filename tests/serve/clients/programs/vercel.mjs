// Vercel's "ai" over the provider that the first argument names.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import { Answer, Place, failure, key, long, model, question, run, short, sunny, url, weather } from "./turns.mjs";

const v1 = { baseURL: `${url}/v1`, apiKey: key };
const bearer = { Authorization: `Bearer ${key}` };
const providers = {
  compatible: () => createOpenAICompatible({ name: "aipc", ...v1, supportsStructuredOutputs: true })(model),
  responses: () => createOpenAI(v1)(model),
  chat: () => createOpenAI(v1).chat(model),
  anthropic: () => createAnthropic(v1)(model),
  ollama: () => createOllama({ baseURL: `${url}/api`, headers: bearer })(model),
};
const [provider] = process.argv.splice(2, 1);
const steps = stepCountIs(2);
const shared = { model: providers[provider](), temperature: 0, maxRetries: 0 };

async function callTool(execute, ask = generateText) {
  const reply = await ask({
    ...shared, prompt: weather, maxOutputTokens: long, stopWhen: steps,
    tools: { find_weather: tool({ description: "The weather in a city.", inputSchema: Place, execute }) },
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber ? "auto" : "required" }),
  });
  await reply.consumeStream?.();
  const [first] = await reply.steps;
  return { calls: first.toolCalls.map((call) => ({ name: call.toolName, args: call.input })), text: await reply.text };
}

await run({
  plain: async () => (await generateText({ ...shared, prompt: question, maxOutputTokens: short })).text,

  async stream() {
    const pieces = [];
    const reply = streamText({ ...shared, prompt: question, maxOutputTokens: short, onError: ({ error }) => { throw error; } });
    for await (const piece of reply.textStream) pieces.push(piece);
    return pieces;
  },

  tools: () => callTool(() => sunny),
  tools_streamed: () => callTool(() => sunny, streamText),
  error: () => callTool(() => { throw new Error(failure); }),

  async typed() {
    const output = Output.object({ schema: Answer });
    return (await generateText({ ...shared, prompt: question, output, maxOutputTokens: long })).output;
  },
});
