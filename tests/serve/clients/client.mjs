// The openai npm package, asked for what its one argument names; prints one JSON value.
import OpenAI from "openai";

const { AIPC_URL: baseURL, AIPC_KEY: apiKey, AIPC_REQUEST } = process.env;
const { model, question, schema, tool, tooLong } = JSON.parse(AIPC_REQUEST);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const greedy = { model, messages, temperature: 0, max_tokens: 24 };

async function refusal(request) {
  try {
    await request();
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, code: error.code };
  }
  return null;
}

const asked = {
  async chat() {
    const whole = await client.chat.completions.create(greedy);
    return { text: whole.choices[0].message.content, usage: whole.usage };
  },

  async stream() {
    const options = { ...greedy, stream: true, stream_options: { include_usage: true } };
    let text = "";
    let usage = null;
    for await (const chunk of await client.chat.completions.create(options)) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return { text, usage };
  },

  async tools() {
    const runner = client.chat.completions.stream({
      ...greedy, max_tokens: 64, tools: [tool], tool_choice: "required",
    });
    const { choices: [choice] } = await runner.finalChatCompletion();
    return { reason: choice.finish_reason, calls: choice.message.tool_calls };
  },

  async schema() {
    const response_format = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
    const reply = await client.chat.completions.parse({ ...greedy, max_tokens: 64, response_format });
    return reply.choices[0].message.parsed ?? JSON.parse(reply.choices[0].message.content);
  },

  async responses() {
    const reply = await client.responses.create({ model, input: question, temperature: 0, max_output_tokens: 24 });
    return reply.output_text;
  },

  async errors() {
    const create = (more) => client.chat.completions.create({ ...greedy, ...more });
    const stranger = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
    return {
      unknown: await refusal(() => create({ model: "none" })),
      long: await refusal(() => create({ messages: [{ role: "user", content: tooLong }] })),
      value: await refusal(() => create({ temperature: 3 })),
      key: await refusal(() => stranger.models.list()),
      embeddings: await refusal(() => client.embeddings.create({ model, input: "x" })),
    };
  },
};

const told = {};
for (const name of Object.keys(asked)) told[name] = await asked[name]();
console.log(JSON.stringify(told));
