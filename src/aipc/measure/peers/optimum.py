"""optimum-intel: OVModelForCausalLM in transformers' generate."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

# by its path: this folder is not among those that modules are looked for in
answer = runpy.run_path(str(Path(__file__).with_name("clock.py")))["answer"]


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from importlib.metadata import version

    from optimum.intel import OVModelForCausalLM

    model = OVModelForCausalLM.from_pretrained(
        options["artifact"], device=options["device"], ov_config=options["properties"]
    )
    facts = {
        "device": options["device"],
        "runtime": "openvino",
        "properties": options["properties"],
        "versions": {name: version(name) for name in ("optimum-intel", "openvino")},
    }
    return facts, lambda prompts, tokens: answer(model, prompts, tokens)
