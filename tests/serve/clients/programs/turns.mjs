// What every program here is asked to do: turns by name, whose results are printed as one JSON object.
// node NAME.mjs [TURN…]; AIPC_URL is the server's address without a path.
import { z } from "zod";

export const { AIPC_URL: url, AIPC_KEY: key, AIPC_MODEL: model } = process.env;
export const question = "What is the capital of France? Answer in one word.";
export const weather = "What is the weather in Paris?";
export const short = 24; // tokens of an answer in prose
export const long = 160; // and of one that has to come to the end of its JSON
export const sunny = "It is sunny.";
export const failure = "Error: the station does not answer";

export const City = z.enum(["Paris", "Rome"]);
export const Place = z.object({ city: City });
export const Answer = z.object({
  city: City,
  districts: z.number().int(),
  confidence: z.number().min(0).max(1).describe("how sure it is"),
});

export async function run(turns) {
  const asked = process.argv.slice(2);
  const told = {};
  for (const name of asked.length ? asked : Object.keys(turns)) told[name] = await turns[name]();
  console.log(JSON.stringify(told));
}
