"""The table of docs/reliability.md out of what a campaign of faults counted.

    python -m pytest tests/faults -m faults --minutes 30 --seed 1 --results docs/reliability.json
    python benchmarks/reliability.py [RESULTS ...]

RESULTS are files of ``--results``; without them docs/reliability.json is read.  A row that several
have is that of the last one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
KEPT, PAGE = DOCS / "reliability.json", DOCS / "reliability.md"
BEGIN, END = "<!-- made by benchmarks/reliability.py: begin -->", "<!-- end -->"
ROW = re.compile(r"test_(?P<promise>\w+)(?:\[(?P<place>.+)\])?")
MOST = re.compile(r"-?\d+$")
"""Of cases, at the end of a row's name."""
NO_OUTCOMES = ("findings", "seconds", "what")


def main() -> None:
    results = [json.loads(Path(file).read_text("utf-8")) for file in sys.argv[1:] or [str(KEPT)]]
    merged = merge(results)
    KEPT.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    table = "\n".join([BEGIN, *lines(merged), END])
    PAGE.write_text(before + table + after, "utf-8")


def merge(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One campaign of several: the rows of all, the last one's machine, the minutes together."""
    rows = {name: row for one in results for name, row in one["rows"].items()}
    seeds = " and ".join(dict.fromkeys(str(one["seed"]) for one in results))
    return {
        **results[-1],
        "seed": seeds,
        "minutes": sum(one["minutes"] for one in results),
        "rows": rows,
    }


def lines(campaign: dict[str, Any]) -> list[str]:
    machine = campaign["machine"]
    gigabytes = f"{machine['memory_bytes'] / 1e9:.0f} GB"
    of = (machine["processor"], f"{machine['threads']} threads", gigabytes, machine["system"])
    how = f"seed {campaign['seed']}, {campaign['minutes']:g} minutes"
    told = [
        f"{', '.join(of)}; aipc {machine['aipc']}, {campaign['created']}; {how}:",
        "",
        "| what has to hold | where | cases | outcomes | findings |",
        "|---|---|---:|---|---:|",
    ]
    last = ""
    for name, row in sorted(campaign["rows"].items()):
        match = ROW.fullmatch(name)
        promise = match["promise"].replace("_", " ")
        place = MOST.sub("", match["place"] or "")
        outcomes = {key: count for key, count in row.items() if key not in NO_OUTCOMES}
        sizes = {key: outcomes.pop(key) for key in list(outcomes) if key.startswith("bytes ")}
        told_sizes = [f"{size / 1e6:,.0f} MB {key[6:]}" for key, size in sizes.items()]
        told_counts = [
            f"{count} {f'with status {key}' if key.isdigit() else key}"
            for key, count in outcomes.items()
        ]
        shown = ", ".join([*told_counts, *told_sizes])
        findings = row.get("findings", 0)
        cells = ("" if promise == last else promise, place.removesuffix("-short"))
        told.append(f"| {' | '.join(cells)} | {sum(outcomes.values())} | {shown} | {findings} |")
        last = promise
    return told


if __name__ == "__main__":
    main()
