"""Quality of every quantizer, ours and the peers', as tables and pictures in docs/.

    python benchmarks/quality_table.py WORK [--tokens 20480] [--sets turned float] [--only "aipc "]

Makes whatever WORK lacks: the small real model as float checkpoints (turned_checkpoint.py), the
artifacts (quality_artifacts.py; the peers' in environments of their own: hours, most of it NNCF's
GPTQ) and their scores (quality.py, beside each artifact), then quality-SET.json in docs/ and the
tables and pictures of docs/quality.md, with the speeds that quality_speed.py found, and the figures
that aipc tells of recipes (quality_figures.py).  With --only, rows of other names stay as docs/ has
them: nothing of aipc's changes a peer's.  Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import quality_figures
import quality_pictures
from quality_artifacts import EVERY, Artifact, make
from stored import stored

DOCS = Path(__file__).parents[1] / "docs"
HERE = Path(__file__).parent
REFERENCE = "aipc fp16"
SETS = {  # the weights: what is made from them and scored
    "turned": EVERY,
    "float": (
        REFERENCE,
        *(f"aipc {recipe}" for recipe in ("int8", "rtn g32", "rtn g128")),
        *(f"aipc {recipe}" for recipe in ("search g32", "search g128", "gptq g128")),
        *("nncf data-free g64", "nncf awq, scale est. g64"),
        *("onnx int4", "onnx int4 k_quant_mixed"),
        *("llama.cpp Q4_0", "llama.cpp Q4_K_M"),
    ),
}


def make_checkpoints(work: Path) -> None:
    if not all((work / weights).exists() for weights in SETS):
        from aipc.models.catalogue import CATALOGUE
        from aipc.models.store import Store

        gguf = Store().fetch(CATALOGUE.default.source)
        script = [sys.executable, str(HERE / "turned_checkpoint.py"), str(gguf), str(work)]
        subprocess.run(script, check=True)


def measure(work: Path, weights: str, tokens: int, only: str) -> list[dict]:
    """One row an artifact: its score, and its bytes."""
    kept = DOCS / f"quality-{weights}.json"
    artifacts = make(work, weights, [name for name in SETS[weights] if name.startswith(only)])
    reference = next(one for one in artifacts if one.name == REFERENCE)
    rows = [
        {
            "name": one.name,
            **score(one, reference, tokens),
            **stored(one.folder, work / weights),
        }
        for one in artifacts
    ]
    if only:
        others = json.loads(kept.read_text()) if kept.exists() else []
        rows += [row for row in others if not row["name"].startswith(only)]
    rows.sort(key=lambda row: row["kl"])
    kept.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def score(artifact: Artifact, reference: Artifact, tokens: int) -> dict:
    """From the file beside it, which is made anew when the artifact is younger."""
    found = artifact.folder.with_name(f"{artifact.folder.name}.score-{tokens}.json")
    if not found.exists() or found.stat().st_mtime < artifact.weights.stat().st_mtime:
        script = [artifact.python, HERE / "quality.py", reference.folder, artifact.folder]
        command = [*script, "--tokens", tokens, "--json", found]
        subprocess.run([str(part) for part in command], check=True)
    return json.loads(found.read_text())


def table(rows: list[dict]) -> str:
    head = [
        "| weights | KL, nats | same top token | perplexity | bits a weight | MB |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(line, rows)])


def line(row: dict) -> str:
    return (
        f"| {row['name']} | {row['kl']:.4f} ± {row['kl_error']:.4f} | {row['same_top']:.1%} "
        f"| {row['perplexity']:.2f} | {row['block_bits']:.2f} | {row['megabytes']:.1f} |"
    )


def write_page(name: str, text: str) -> None:
    """Put ``text`` between the page's two comments of that name."""
    page = DOCS / "quality.md"
    start, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    before, _, rest = page.read_text("utf-8").partition(start)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{start}{text}\n{end}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--tokens", type=int, default=20_480)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--only", default="", help="make and score the names that begin so")
    asked = parser.parse_args()
    make_checkpoints(asked.work)
    for weights in asked.sets:
        write_page(weights, table(measure(asked.work, weights, asked.tokens, asked.only)))
    quality_figures.main()
    quality_pictures.draw_all(DOCS)


if __name__ == "__main__":
    main()
