"""The CPU judges what a device answered, in a process of its own.

For every token of an answer it computes what would have come next, given the tokens before it, so
one near-tie that falls the other way costs one token, not all that follow it.  The products are
computed as exactly as the runtime can.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aipc.choose.shortfall import shortfalls
from aipc.errors import AipcError
from aipc.measure.prove.findings import JudgeTask, TrialAnswer
from aipc.measure.prove.record import TokenAgreement
from aipc.records import plain, read
from aipc.runtimes.base import Scorer


def judge(scorer: Scorer, answer: TrialAnswer) -> TokenAgreement:
    """How many of the tokens ``scorer`` would have chosen, and how much less it liked the others.

    Raises:
        EngineError: the runtime failed.
    """
    lacking = list(shortfalls(scorer, answer.prompt, answer.tokens))
    misses = [at for at, one in enumerate(lacking) if one > 0]
    return TokenAgreement(
        answer.what,
        len(answer.prompt),
        len(answer.tokens),
        len(answer.tokens) - len(misses),
        round(sum(lacking) / len(lacking), 4),
        misses[0] if misses else None,
    )


def main() -> None:
    """Judge the answers of one task, while there is time."""
    from aipc import telemetry
    from aipc.child import one_task

    telemetry.switch_off()
    told, tell = one_task()
    _judge_all(read(JudgeTask, told), tell)


def _judge_all(task: JudgeTask, tell: Callable[[dict[str, Any]], None]) -> None:
    from aipc.runtimes.openvino.scorer import EXACT
    from aipc.runtimes.registry import RUNTIMES

    until = time.monotonic() + task.seconds
    properties = EXACT if task.runtime == "openvino" else {}
    try:
        scorer = RUNTIMES.get(task.runtime).scorer(Path(task.folder), "cpu", properties)
        for answer in task.answers:
            if time.monotonic() > until:
                break
            tell({"agreement": plain(judge(scorer, answer))})
    except AipcError as error:
        tell({"error": type(error).__name__, "what": str(error)})
    tell({"done": True})


if __name__ == "__main__":
    main()
