"""transformers on torch, in the checkpoint's own precision."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


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


def answer(model: Any, prompts: list[list[int]], tokens: int) -> list[list[float]]:
    """A stopping criterion that never stops is asked after each token: the clock."""
    import torch

    arrivals: list[float] = []
    ids = torch.tensor(prompts)
    started = time.perf_counter()

    def clock(_ids: Any, _scores: Any, **_: Any) -> Any:
        arrivals.append(time.perf_counter() - started)
        return torch.zeros(len(prompts), dtype=torch.bool)

    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        stopping_criteria=[clock],
        pad_token_id=0,
    )
    return [arrivals] * len(prompts)
