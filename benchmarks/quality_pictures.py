"""The pictures of docs/quality.md, from the figures beside it.

python benchmarks/quality_pictures.py          # needs matplotlib
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1] / "docs"
STYLES = {  # tool: its rows' algorithms, color, marker, filled or hollow
    "aipc gptq": ("tab:blue", "o", "full"),
    "aipc search": ("tab:purple", "o", "full"),
    "aipc awq": ("tab:pink", "o", "full"),
    "aipc rtn": ("tab:blue", "o", "none"),
    "aipc": ("tab:blue", "*", "full"),
    "nncf awq, scale est.": ("tab:orange", "s", "full"),
    "nncf gptq": ("tab:brown", "s", "full"),
    "nncf data-free": ("tab:orange", "s", "none"),
    "nncf": ("tab:orange", "*", "full"),
    "onnx int4": ("tab:green", "^", "none"),
    "onnx": ("tab:green", "*", "full"),
    "llama.cpp": ("tab:red", "D", "none"),
}


def draw_all(docs: Path) -> None:
    mpl.rcParams["svg.hashsalt"] = "aipc"
    rows = json.loads((docs / "quality-turned.json").read_text())
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 6), sharey=True, width_ratios=(2, 3), layout="constrained"
    )
    four_bits = [row for row in rows if row["block_bits"] < 7]
    scatter(left, four_bits, "block_bits")
    left.set_xlabel("bits a weight of the blocks, scales included")
    scatter(right, four_bits, "megabytes")
    right.set_xlabel("all weights, MB")
    left.set_ylabel("KL divergence from the float model, nats")
    right.legend(fontsize=8)
    figure.savefig(docs / "quality.svg", metadata={"Date": None})
    speeds = docs / "quality-speed.json"
    if speeds.exists():
        draw_speed(rows, json.loads(speeds.read_text()), docs / "quality-speed.svg")


def draw_speed(rows: list[dict], timed: dict, path: Path) -> None:
    """Of every timed format the rows that were scored, over its median speed."""
    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    found = timed["tokens a second"]
    median = {name: statistics.median(found[twin]) for name, twin in timed["timed for"].items()}
    fast = [{**row, "speed": median[row["name"]]} for row in rows if row["name"] in median]
    scatter(axes, [row for row in fast if row["kl"] > 1e-5], "speed")
    axes.set_xlabel("tokens a second, decoding at batch 1")
    axes.set_ylabel("KL divergence from the float model, nats")
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def scatter(axes: Axes, rows: list[dict], measure: str) -> None:
    """KL over ``measure``: one sign a way of quantizing, each point named for the rest."""
    for style, (color, marker, fill) in STYLES.items():
        mine = sorted((row for row in rows if style_of(row["name"]) == style),
                      key=lambda row: row[measure])  # fmt: skip
        if not mine:
            continue
        widths = style.startswith(("aipc ", "nncf ")) and measure != "speed"
        axes.plot([row[measure] for row in mine], [row["kl"] for row in mine],
                  linestyle="-" if widths else "none", linewidth=0.8, label=style,
                  color=color, marker=marker, fillstyle=fill)  # fmt: skip
        for row in mine:
            axes.annotate(row["name"].removeprefix(style).strip(), (row[measure], row["kl"]),
                          xytext=(5, 4), textcoords="offset points", fontsize=7,
                          color=color)  # fmt: skip
    axes.set_yscale("log")
    axes.margins(x=0.18)
    axes.grid(visible=True, which="both", alpha=0.25)


def style_of(name: str) -> str:
    return max((style for style in STYLES if name.startswith(style)), key=len)


if __name__ == "__main__":
    draw_all(DOCS)
