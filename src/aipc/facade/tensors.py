"""Prompts out of torch's tensors, and answers into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aipc.errors import UsageError

if TYPE_CHECKING:
    import torch


def check_prompt(prompt: torch.Tensor | None, token_types: torch.Tensor | None) -> torch.Tensor:
    """The prompt as it was given.

    Raises:
        UsageError: there is none, or token types that are not all 0.
    """
    if prompt is None or prompt.ndim != 2 or 0 in prompt.shape:
        raise UsageError(
            "generate needs a prompt", "give input_ids, int64 [batch, length] with length > 0"
        )
    if token_types is not None and bool(token_types.any()):
        raise UsageError("generate can't honor token_type_ids here", "leave them out")
    return prompt


def rows(prompt: torch.Tensor, mask: torch.Tensor | None) -> list[list[int]]:
    """The token ids of each row without its padding, where ``mask`` is 0.

    Raises:
        UsageError: ``mask`` is of another shape.
    """
    if mask is None:
        return [list(row) for row in prompt.tolist()]
    if mask.shape != prompt.shape:
        raise UsageError(
            f"attention_mask is {list(mask.shape)} and input_ids {list(prompt.shape)}",
            "give both of the same shape",
        )
    return [row[kept.bool()].tolist() for row, kept in zip(prompt, mask, strict=True)]


def joined(prompt: torch.Tensor, answers: list[list[int]], pad_id: int) -> torch.Tensor:
    """Each row of ``prompt`` and its answer, the shorter ones filled up with ``pad_id``."""
    import torch

    longest = max(map(len, answers))
    filled = [answer + [pad_id] * (longest - len(answer)) for answer in answers]
    written = torch.tensor(filled, dtype=prompt.dtype, device=prompt.device)
    return torch.cat([prompt, written], dim=1)


def draw_seeds(count: int) -> list[int]:
    """Drawn from torch's generator: `transformers.set_seed` repeats a sample here too."""
    import torch

    return [int(seed) for seed in torch.randint(2**32, (count,), dtype=torch.int64)]
