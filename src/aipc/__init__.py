"""Run Phi-3 and its kin on the NPU, GPU and CPU of a personal computer.

>>> import aipc
>>> with aipc.load("phi-3-mini") as phi:
...     for event in phi.stream("Can you introduce yourself?"):
...         print(event.text, end="")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aipc.session.encoders.embed import embedder
    from aipc.session.encoders.rerank import reranker
    from aipc.session.loading import load
    from aipc.session.session import Session

__version__ = "0.1.0"
__all__ = ["Session", "__version__", "embedder", "load", "reranker"]


def __getattr__(name: str) -> Any:
    """Import the session at first use: ``import aipc`` alone stays light."""
    modules = {
        "Session": "aipc.session.session",
        "load": "aipc.session.loading",
        "embedder": "aipc.session.encoders.embed",
        "reranker": "aipc.session.encoders.rerank",
    }
    if name in modules:
        return getattr(import_module(modules[name]), name)
    raise AttributeError(f"module 'aipc' has no attribute '{name}'")
