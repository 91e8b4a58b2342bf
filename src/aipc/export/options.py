"""What depends on the machine that serves, and on who asks."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option


@dataclass(frozen=True)
class ServingOptions:
    """Beside what follows from the model; the names are the server's."""

    cache_size: int = option(
        0, "GB for keys and values of all answers together; 0: grows with them", minimum=0
    )
    max_num_seqs: int = option(256, "most answers under way at once", minimum=1)
    max_prompt_len: int | None = option(
        None, "NPU: longest prompt, in tokens; without it, the vendor's 1,024", minimum=1
    )

    def __post_init__(self) -> None:
        check(self)
