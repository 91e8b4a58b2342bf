"""Whole answers of the small real model: which loop, repeat themselves or are cut.

    python benchmarks/answers.py [--recipes default int4 int4-rtn fp16] [--runtimes openvino onnx]
        [--sampling default greedy penalty=1.1 card] [--tokens 256] [--json OUT]

Twenty prompts on which nothing was tuned, each answered once as `aipc run` would; the checks are
those of `aipc eval` (aipc.measure.quality.degenerate).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import aipc
from aipc.convert.recipe import Recipe
from aipc.measure.quality.degenerate import check_answer

PROMPTS = (
    "What is the capital of Italy?",
    "Who painted the Mona Lisa?",
    "How many days does a leap year have?",
    "Name four animals that live in the sea.",
    "What is the difference between a cat and a dog?",
    "How do I boil an egg?",
    "Give me three tips for sleeping better.",
    "Why does ice float on water?",
    "Write a short thank-you note to a teacher.",
    "What does a gardener do in spring?",
    "Tell me a story about a dragon who is afraid of fire.",
    "Explain what a database is.",
    "What are the seasons of the year?",
    "Translate 'good morning' into Spanish.",
    "List five things to pack for a weekend in the mountains.",
    "How does a bicycle stay upright?",
    "Write two sentences about the moon.",
    "What should I cook with rice and tomatoes?",
    "Describe the city of London to someone who was never there.",
    "What is the purpose of a library?",
)
RECIPES = {
    "default": None,
    "fp16": Recipe("fp16"),
    "int8": Recipe("int8"),
    "int4": Recipe(),
    "int4-rtn": Recipe(quantizer="rtn"),
    "int4-g32": Recipe(group_size=32),
}
SAMPLING = {
    "default": {},
    "greedy": {"temperature": 0.0, "repetition_penalty": 1.0},
    "penalty=1.05": {"temperature": 0.0, "repetition_penalty": 1.05},
    "penalty=1.1": {"temperature": 0.0, "repetition_penalty": 1.1},
    "card": {"temperature": 0.2, "top_p": 0.9, "repetition_penalty": 1.0, "seed": 1},
}


def judge(session: aipc.Session, sampling: dict[str, float], tokens: int) -> list[dict]:
    """One record an answer."""
    found = []
    for prompt in PROMPTS:
        reply = session.generate(prompt, max_new_tokens=tokens, **sampling)
        check = check_answer(prompt, reply.text, reply.tokens)
        found.append({**asdict(check), "flaws": check.flaws, "end": reply.finish_reason})
    return found


def line(name: str, answers: list[dict]) -> str:
    loops = sum(one["loops"] for one in answers)
    repeats = sum(bool(one["flaws"]) for one in answers) - loops
    cut = sum(one["end"] == "length" for one in answers)
    return f"| {name} | {loops} | {repeats} | {cut} | {len(answers) - loops - repeats} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=["default", "int4"])
    parser.add_argument("--runtimes", nargs="+", default=["openvino", "onnx"])
    parser.add_argument("--sampling", nargs="+", choices=list(SAMPLING), default=["default"])
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    kept = {}
    print("| recipe, runtime, sampling | loops | repeats itself | at the limit | no flaw |")
    print("|---|---|---|---|---|")
    for recipe in asked.recipes:
        for runtime in asked.runtimes:
            with aipc.load(recipe=RECIPES[recipe], runtime=runtime, probe=False) as session:
                for sampling in asked.sampling:
                    name = f"{recipe}, {runtime}, {sampling}"
                    kept[name] = judge(session, SAMPLING[sampling], asked.tokens)
                    print(line(name, kept[name]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
