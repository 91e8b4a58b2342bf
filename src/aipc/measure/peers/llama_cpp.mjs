// llama.cpp, through node-llama-cpp: one sequence at a time.
//
//     node llama_cpp.mjs OPTIONS
//
// Speaks as participant_loop.py does.  npm installed into the folder that "packages" names.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const started = performance.now();
const options = JSON.parse(process.argv[2]);

// Named "CUDA" or "CUDA.1"; llama.cpp takes all that it sees.
const [kind, number] = options.device.toLowerCase().split(".");
const onGpu = kind === "cuda";
if (onGpu) process.env.CUDA_VISIBLE_DEVICES = number ?? "0";

async function load() {
    const home = join(options.packages, "node_modules", "node-llama-cpp");
    const { getLlama } = await import(pathToFileURL(join(home, "dist", "index.js")));
    const threads = options.threads ? { threads: options.threads } : {};
    const llama = await getLlama({
        gpu: onGpu && "cuda",
        build: "never",
        skipDownload: true,
        logger: (level, message) => process.stderr.write(`${level}: ${message}\n`),
        ...(options.threads ? { maxThreads: options.threads } : {}),
    });
    const model = await llama.loadModel({
        modelPath: options.artifact,
        ...(onGpu ? { gpuLayers: "max" } : {}),
    });
    const context = await model.createContext({ contextSize: options.tokens + 1, ...threads });
    const facts = {
        device: llama.gpu === "cuda" ? "CUDA" : "CPU",
        runtime: "llama.cpp",
        properties: threads,
        versions: {
            node_llama_cpp: JSON.parse(readFileSync(join(home, "package.json"), "utf8")).version,
            llama_cpp: llama.llamaCppRelease.release,
        },
    };
    return [facts, context.getSequence()];
}

async function answer(sequence, prompts, tokens) {
    if (prompts.length > 1) throw new Error("this peer generates one sequence at a time");
    await sequence.clearHistory();
    const arrivals = [];
    const begin = performance.now();
    // an end-of-generation token is a token like others here
    for await (const _ of sequence.evaluate(prompts[0], { temperature: 0, yieldEogToken: true })) {
        arrivals.push((performance.now() - begin) / 1000);
        if (arrivals.length === tokens) break;
    }
    return [arrivals];
}

async function measured(sequence, prompts, tokens) {
    const before = process.cpuUsage();
    const begin = performance.now();
    const times = await answer(sequence, prompts, tokens);
    const seconds = (performance.now() - begin) / 1000;
    const { user, system } = process.cpuUsage(before);
    return { times, seconds, cpu_s: (user + system) / 1e6 };
}

// Most bytes of this process in memory at once.  On Linux not getrusage's, which counts what the
// parent had before this program began.
function peakMemory() {
    if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
    const line = readFileSync("/proc/self/status", "utf8").match(/^VmHWM:\s+(\d+) kB$/m);
    return line ? Number(line[1]) * 1024 : null;
}

function send(message) {
    process.stdout.write(JSON.stringify({ ...message, peak_memory_bytes: peakMemory() }) + "\n");
}

function failure(error) {
    const reason = String(error?.message ?? error).split(/\s+/).join(" ").slice(0, 300);
    return { error: `${error?.name ?? "Error"}: ${reason}` };
}

let sequence;
try {
    const [facts, loaded] = await load();
    sequence = loaded;
    send({ seconds: (performance.now() - started) / 1000, facts });
} catch (error) {
    send(failure(error));
    process.exit(0);
}
for await (const line of createInterface({ input: process.stdin })) {
    const { prompts, tokens } = JSON.parse(line);
    send(await measured(sequence, prompts, tokens).catch(failure));
}
process.exit(0);
