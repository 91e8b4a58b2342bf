"""A request without a prompt, by which Ollama's clients load a model, or unload it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aipc.serve.ollama.schemas import OllamaBody

if TYPE_CHECKING:
    from aipc.pool.pool import Pool


async def load_or_unload(pool: Pool, body: OllamaBody) -> Literal["load", "unload"]:
    """Load the model of ``body``, or unload it where ``keep_alive`` is 0.

    Raises:
        AipcError: as `Pool.load`.
    """
    if body.keep_s == 0:
        await pool.unload(body.model)
        return "unload"
    await pool.load(body.model, body.device, body.keep_s)
    return "load"
