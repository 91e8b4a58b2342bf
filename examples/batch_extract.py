"""What customers wrote, a row each of a table, sorted into columns by a model.

python examples/batch_extract.py [MODEL] [--table FILE.csv] > SORTED.csv

FILE.csv has columns "id" and "text"; without it three rows stand in.  Every answer fits the schema,
whatever the model.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from aipc import batch
from aipc.errors import AipcError

SAMPLE = """id,text
1001,"The parcel arrived two days late, and the lamp in it was broken."
1002,"Lovely chair, easy to build. My whole family wants one now!"
1003,"Can I still change the colour of the sofa that I ordered yesterday?"
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["pleased", "neutral", "annoyed"]},
        "topic": {"enum": ["delivery", "product", "order"]},
        "item": {"type": "string", "maxLength": 20},
    },
    "required": ["mood", "topic", "item"],
    "additionalProperties": False,
}
MEMBERS = {
    "temperature": 0,
    "response_format": {"type": "json_schema", "json_schema": {"name": "note", "schema": SCHEMA}},
}


def main(model: str, table: Path, answers: Path) -> None:
    options = batch.BatchOptions(prompt_column="text", id_column="id")
    system = "A customer wrote this. Say in JSON what it is about."
    batch.run(table, answers, model, options, members=MEMBERS, system=system)
    found = {}
    for line in map(json.loads, answers.read_text("utf-8").splitlines()):
        if line["response"] and line["response"]["status_code"] == 200:
            message = line["response"]["body"]["choices"][0]["message"]
            found[line["custom_id"]] = json.loads(message["content"])
        else:
            print(f"no answer for row {line['custom_id']}", file=sys.stderr)
    with table.open(encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(sys.stdout, ["id", "text", *SCHEMA["required"]])
        writer.writeheader()
        writer.writerows(row | found.get(row["id"], {}) for row in csv.DictReader(file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as scratch:
        sample = Path(scratch) / "sample.csv"
        sample.write_text(SAMPLE, "utf-8")
        try:
            main(given.model, given.table or sample, Path(scratch) / "answers.jsonl")
        except AipcError as error:  # one line: what failed, and what to do
            sys.exit(str(error))
