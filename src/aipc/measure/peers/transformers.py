"""transformers on torch, in the checkpoint's own precision."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

# by its path: this folder is not among those that modules are looked for in
answer = runpy.run_path(str(Path(__file__).with_name("clock.py")))["answer"]


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import torch
    import transformers

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    path = Path(options["artifact"])
    is_gguf = path.suffix == ".gguf"
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent if is_gguf else path),
        gguf_file=path.name if is_gguf else None,
        dtype="auto",
    )
    facts = {
        "device": "CPU",
        "runtime": "transformers",
        "properties": {"dtype": str(model.dtype), "threads": str(torch.get_num_threads())},
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
    }
    return facts, lambda prompts, tokens: answer(model, prompts, tokens)
