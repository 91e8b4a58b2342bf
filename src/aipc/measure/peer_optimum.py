"""optimum-intel: OVModelForCausalLM in transformers' generate."""

from __future__ import annotations

import time
from typing import Any


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
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        stopping_criteria=[clock],
        pad_token_id=0,
    )
    return [arrivals] * len(prompts)
