"""Which run an unfinished output belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aipc.errors import quoted

FORMAT = 2


@dataclass(frozen=True)
class RunKey:
    """All that an unfinished run holds for.

    ``input`` is the SHA-256 of the input, ``model`` answers every line where it is given,
    ``artifacts`` has the hash of each model's artifact, and ``options`` those that change answers.
    """

    input: str
    model: str | None = None
    artifacts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        return json.dumps({"aipc_batch": FORMAT, **asdict(self)}).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> RunKey | None:
        """None where it is no such line, or one of another version's."""
        try:
            members = json.loads(line)
            if members.pop("aipc_batch") == FORMAT:
                return RunKey(**members)
        except (ValueError, KeyError, AttributeError, TypeError):
            pass
        return None

    def differences(self, now: RunKey) -> list[str]:
        """What has changed since, each in a few words."""
        told = []
        if self.input != now.input:
            told.append("the input has changed")
        if self.model != now.model:
            told.append(f"the model was {_named(self.model)}, is {_named(now.model)}")
        told += [
            f"the artifact of {quoted(name)} is another"
            for name in sorted({*self.artifacts, *now.artifacts})
            if self.artifacts.get(name) != now.artifacts.get(name)
        ]
        for name in sorted({*self.options, *now.options}):
            before, after = self.options.get(name), now.options.get(name)
            if before != after:
                told.append(f"option {name} was {json.dumps(before)}, is {json.dumps(after)}")
        return told


def _named(model: str | None) -> str:
    return "each line's own" if model is None else quoted(model)
