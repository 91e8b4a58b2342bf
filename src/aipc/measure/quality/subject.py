"""What is judged: an artifact as it is run, on a device with its properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.config import read_context
from aipc.artifact.files import TOKENIZER
from aipc.devices import kind_of
from aipc.devices.wheels import installed
from aipc.generate import Tokenizer
from aipc.models.blobs import fingerprint
from aipc.runtimes.base import Scorer
from aipc.runtimes.registry import RUNTIMES

if TYPE_CHECKING:
    from aipc.session.session import Session

_MODEL_FILES = frozenset({".xml", ".bin", ".onnx", ".data"})


@dataclass(frozen=True)
class Subject:
    artifact: Path
    runtime: str
    device: str = "cpu"
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session) -> Subject:
        """What a session runs."""
        facts = session.facts
        return cls(
            Path(facts["artifact"]), facts["runtime"], facts["device"], dict(facts["properties"])
        )

    @property
    def has_logits(self) -> bool:
        """Whether its runtime gives scores on this device."""
        kind = kind_of(self.device.partition(" ")[0])  # "NPU (emulated)"
        return RUNTIMES.get(self.runtime).capabilities(kind).logits

    @property
    def identity(self) -> dict[str, Any]:
        """All that its scores depend on, ready for JSON."""
        return {
            "model": self.fingerprint,
            "runtime": self.runtime,
            "versions": dict(sorted(installed().items())),
            "device": self.device.lower(),
            "properties": dict(sorted(self.properties.items())),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the artifact's model and tokenizer files together, in hexadecimal."""
        names = sorted(
            file.name
            for file in self.artifact.iterdir()
            if file.suffix in _MODEL_FILES or file.name == TOKENIZER
        )
        return fingerprint(self.artifact, tuple(names))

    @property
    def context(self) -> int | None:
        """Tokens that the model can see at once; None where its folder does not tell."""
        return read_context(self.artifact)

    def tokenizer(self) -> Tokenizer:
        """The artifact's own.

        Raises:
            ArtifactError: it has none.
        """
        return Tokenizer.from_folder(self.artifact)

    def scorer(self) -> Scorer:
        """Load it to be scored; errors are those of `aipc.runtimes.base.Runtime.scorer`."""
        return RUNTIMES.get(self.runtime).scorer(self.artifact, self.device, self.properties)
