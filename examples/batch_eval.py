"""Score a model on 500 questions with checkable answers, asked as one batch.

python examples/batch_eval.py [MODEL] [--questions N] [--in-flight N] [--keep FOLDER]

The questions are made here, always the same ones.  FOLDER then has the batch's input and output,
and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from aipc import batch
from aipc.errors import AipcError
from aipc.measure.quality.tasks import Task
from aipc.measure.statistics import of_share

COUNTRIES = {
    "Africa": "Egypt: Cairo, Ethiopia: Addis Ababa, Ghana: Accra, Kenya: Nairobi, Libya: Tripoli, "
    "Morocco: Rabat, Senegal: Dakar, Tunisia: Tunis, Uganda: Kampala, Zimbabwe: Harare",
    "Asia": "China: Beijing, India: New Delhi, Indonesia: Jakarta, Iran: Tehran, Iraq: Baghdad, "
    "Japan: Tokyo, Lebanon: Beirut, Mongolia: Ulaanbaatar, Nepal: Kathmandu, Syria: Damascus, "
    "Thailand: Bangkok, Vietnam: Hanoi",
    "Europe": "Austria: Vienna, Belgium: Brussels, Bulgaria: Sofia, Croatia: Zagreb, "
    "Denmark: Copenhagen, Finland: Helsinki, France: Paris, Germany: Berlin, Greece: Athens, "
    "Hungary: Budapest, Iceland: Reykjavik, Ireland: Dublin, Italy: Rome, Norway: Oslo, "
    "Poland: Warsaw, Portugal: Lisbon, Romania: Bucharest, Serbia: Belgrade, Spain: Madrid, "
    "Sweden: Stockholm",
    "North America": "Canada: Ottawa, Cuba: Havana, Jamaica: Kingston, "
    "Mexico: Mexico City, Nicaragua: Managua",
    "South America": "Argentina: Buenos Aires, Chile: Santiago, "
    "Peru: Lima, Uruguay: Montevideo, Venezuela: Caracas",
}
PLACES = [
    (continent, *pair.split(": "))
    for continent, pairs in COUNTRIES.items()
    for pair in pairs.split(", ")
]
"""(continent, country, capital)"""
UNITS = (
    ("centimetres", "metres", 100),
    ("metres", "kilometres", 1000),
    ("minutes", "hours", 60),
    ("seconds", "minutes", 60),
    ("days", "weeks", 7),
    ("months", "years", 12),
)
NAMES = ["Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Henry", "Irene", "Jonas"]
WORDS = ["apple", "bridge", "candle", "desert", "engine", "forest", "garden", "harbor", "island"]


def capital(source: Random) -> Task:
    _, country, city = source.choice(PLACES)
    prompt = f"What is the capital of {country}? Answer with the name of the city only."
    return Task("capital", prompt, expect=rf"\b{city}\b")


def country(source: Random) -> Task:
    _, country, city = source.choice(PLACES)
    prompt = f"Of which country is {city} the capital? Answer with the name of the country only."
    return Task("country", prompt, expect=rf"\b{country}\b")


def continent(source: Random) -> Task:
    continent, country, _ = source.choice(PLACES)
    prompt = f"On which continent is {country}? Answer with the name of the continent only."
    return Task("continent", prompt, expect=rf"\b{continent}\b")


def addition(source: Random) -> Task:
    one, other = source.randint(1, 50), source.randint(1, 50)
    prompt = f"What is {one} + {other}? Answer with the number only."
    return Task("addition", prompt, number=str(one + other))


def comparison(source: Random) -> Task:
    one, other = source.sample(range(10, 1000), 2)
    prompt = f"Which number is larger, {one} or {other}? Answer with that number only."
    return Task("comparison", prompt, number=str(max(one, other)))


def conversion(source: Random) -> Task:
    small, large, factor = source.choice(UNITS)
    count = source.randint(2, 20)
    prompt = f"How many {small} are {count} {large}? Answer with the number only."
    return Task("conversion", prompt, number=str(count * factor))


def sorting(source: Random) -> Task:
    numbers = source.sample(range(1, 100), 4)
    prompt = (
        f"Sort these numbers from the smallest to the largest: {', '.join(map(str, numbers))}. "
        "Answer with the sorted numbers only, separated by commas."
    )
    return Task("sorting", prompt, exact=", ".join(map(str, sorted(numbers))))


def copying(source: Random) -> Task:
    words = " ".join(source.sample(WORDS, 4))
    return Task("copying", f"Repeat these words and write nothing else: {words}", exact=words)


def lookup(source: Random) -> Task:
    ages = {name: source.randint(20, 90) for name in source.sample(NAMES, 4)}
    told = ", ".join(f"{name} is {age}" for name, age in ages.items())
    asked = source.choice(list(ages))
    prompt = f"{told}. How old is {asked}? Answer with the number only."
    return Task("lookup", prompt, number=str(ages[asked]))


KINDS = (capital, country, continent, addition, comparison, conversion, sorting, copying, lookup)


def make_questions(count: int) -> list[Task]:
    """Different ones of every kind in turn, as long as a kind has more."""
    source = Random(0)
    made: dict[str, Task] = {}
    while len(made) < count:
        for kind in KINDS:
            question = kind(source)
            made.setdefault(question.prompt, question)
    return list(made.values())[:count]


def write_batch(file: Path, questions: Sequence[Task]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for number, question in enumerate(questions):
            body = {"messages": [{"role": "user", "content": question.prompt}]}
            body |= {"temperature": 0, "max_tokens": 48}
            request = {"method": "POST", "url": "/v1/chat/completions", "body": body}
            lines.write(json.dumps({"custom_id": str(number)} | request) + "\n")


def read_answers(file: Path) -> dict[str, str]:
    """Texts by ``custom_id``; a failed request has none."""
    answers = {}
    with file.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["response"] and line["response"]["status_code"] == 200:
                message = line["response"]["body"]["choices"][0]["message"]
                answers[line["custom_id"]] = message["content"]
    return answers


def print_scores(questions: Sequence[Task], answers: Mapping[str, str]) -> None:
    right, asked = Counter(), Counter(question.kind for question in questions)
    for number, question in enumerate(questions):
        right[question.kind] += question.is_right(answers.get(str(number), ""))
    print("kind         right         share (95% interval)")
    rows = [*((kind, right[kind], asked[kind]) for kind in asked)]
    for kind, good, count in [*rows, ("all", right.total(), asked.total())]:
        share = of_share(good, count)
        interval = f"{share.low:.0%} to {share.high:.0%}"
        print(f"{kind:12} {good:3} of {count:3}    {share.middle:4.0%} ({interval})")


def main(folder: Path, asked: argparse.Namespace) -> None:
    questions = make_questions(asked.questions)
    write_batch(folder / "questions.jsonl", questions)
    summary = batch.run(
        folder / "questions.jsonl",
        folder / "answers.jsonl",
        model=asked.model,
        options=batch.BatchOptions(in_flight=asked.in_flight),
    )
    print_scores(questions, read_answers(summary.out))
    print(f"{summary.seconds:.1f} s, {summary.tokens_per_s:.0f} tokens a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--in-flight", type=int, help="requests at once")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    try:
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            main(given.keep, given)
        else:
            with TemporaryDirectory() as scratch:
                main(Path(scratch), given)
    except AipcError as error:  # one line: what failed, and what to do
        sys.exit(str(error))
