"""Run Phi-3 and its kin on the NPU, GPU and CPU of a personal computer.

>>> import aipc
>>> with aipc.load("phi-3-mini") as phi:
...     for event in phi.stream("Can you introduce yourself?"):
...         print(event.text, end="")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aipc.session.embed import embedder
    from aipc.session.session import Session, load

__version__ = "0.1.0"
__all__ = ["Session", "__version__", "embedder", "load"]


def __getattr__(name: str) -> Any:
    """Import the session at first use: ``import aipc`` alone stays light."""
    if name in {"Session", "load"}:
        from aipc.session import session

        return getattr(session, name)
    if name == "embedder":
        from aipc.session import embed

        return embed.embedder
    raise AttributeError(f"module 'aipc' has no attribute '{name}'")
