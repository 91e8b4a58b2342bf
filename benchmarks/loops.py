"""What the rule for loops takes for one: in text that people wrote, and in a model's answers.

    python benchmarks/loops.py texts ARTIFACT FOLDER... [--characters 4000000]
    python benchmarks/loops.py answers ARTIFACT [--tokens 512]

"texts" tokenizes the files under the folders as the artifact's model does and cuts each into
pieces of 1,024 tokens, as long as an answer may be by default; a piece in which a rule finds a loop
is a false alarm.  "answers" has the model answer twenty prompts greedily, to their ends, and says
where each went round first, in which pattern, and whether it ended by itself all the same.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import aipc
from aipc.generate import GREEDY, RepetitionDetection, Tokenizer
from aipc.generate.repetition import RepetitionDetector
from aipc.measure.quality.degenerate import OPEN_PROMPTS

PIECE = 1024
KINDS = {
    "prose": ("LICENSE", "COPYING", "copyright", ".md", ".rst", ".txt"),
    "Python": (".py",),
    "C": (".c", ".h", ".cpp", ".hpp"),
    "web": (".js", ".css", ".html", ".ts"),
    "data": (".json", ".yaml", ".yml", ".csv", ".toml"),
}
DEFAULT = RepetitionDetection()
RULES = {
    "3 times, 24 tokens": RepetitionDetection(min_wordless_tokens=24),
    "the default": DEFAULT,
    "4 times": RepetitionDetection(min_count=4),
    "4 times 16 tokens": RepetitionDetection(
        min_pattern_size=16, min_count=4, min_tokens=0, min_wordless_tokens=0
    ),
}
PROMPTS = (
    *OPEN_PROMPTS,
    "What is the capital of France?",
    "List the planets of the solar system.",
    "Write a Python function that sorts a list of numbers.",
    "Make a table in Markdown of five animals with their weight and speed.",
    "Give me a 10x10 matrix of zeros as JSON.",
    "Write the numbers from 1 to 50.",
    "Write a poem about the sea.",
    "Write HTML for a table with 4 rows and 3 columns.",
    "Write a song with a chorus that repeats.",
    "Explain how photosynthesis works.",
)


def first_loop(
    tokens: Sequence[int], tokenizer: Tokenizer, rule: RepetitionDetection = DEFAULT
) -> tuple[int, int] | None:
    """(tokens read, length of the pattern) at the first loop."""
    detector = RepetitionDetector(rule, tokenizer.has_letter)
    for count, token in enumerate(tokens, 1):
        pattern = detector.feed(token)
        if pattern is not None:
            return count, pattern
    return None


def texts(arguments: argparse.Namespace) -> None:
    tokenizer = Tokenizer.from_folder(arguments.artifact)
    print(f"{'':10}{'files':>8}{'pieces':>8}", *(f"{name:>20}" for name in RULES))
    for kind, endings in KINDS.items():
        files, pieces, alarms = 0, 0, dict.fromkeys(RULES, 0)
        for text in read_texts(arguments.folder, endings, arguments.characters):
            files += 1
            tokens = tokenizer.encode(text, add_special_tokens=False)
            for start in range(0, len(tokens), PIECE):
                pieces += 1
                piece = tokens[start : start + PIECE]
                for name, rule in RULES.items():
                    alarms[name] += first_loop(piece, tokenizer, rule) is not None
        print(f"{kind:10}{files:8}{pieces:8}", *(f"{count:20}" for count in alarms.values()))


def read_texts(folders: Sequence[Path], endings: tuple[str, ...], characters: int) -> Iterator[str]:
    """Of each folder as much as that, its files in random order."""
    for folder in folders:
        left = characters
        names = sorted(path for path in folder.rglob("*") if path.name.endswith(endings))
        for path in random.Random(1).sample(names, len(names)):
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if 200 < len(text) < 400_000 and left > 0:
                left -= len(text)
                yield text


def answers(arguments: argparse.Namespace) -> None:
    with aipc.load(str(arguments.artifact), probe=False) as session:
        for prompt in PROMPTS:
            reply = session.generate(prompt, max_new_tokens=arguments.tokens, **GREEDY)
            found = first_loop(reply.tokens, session.tokenizer)
            where = f"loop of {found[1]} at {found[0]}" if found else "no loop"
            print(f"{prompt[:60]:62}{where:20}{reply.finish_reason} {len(reply.tokens)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (texts, answers):
        command = commands.add_parser(function.__name__)
        command.add_argument("artifact", type=Path)
        command.set_defaults(function=function)
        if function is texts:
            command.add_argument("folder", type=Path, nargs="+")
            command.add_argument("--characters", type=int, default=4_000_000)
        else:
            command.add_argument("--tokens", type=int, default=512)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
