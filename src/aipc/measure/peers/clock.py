"""What the peers on transformers' ``generate`` share: their answers, and the clock in them."""

from __future__ import annotations

import time
from typing import Any


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
