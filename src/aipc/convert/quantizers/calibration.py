"""The text on which quantizers measure activations.

The builtin text, ``calibration.txt``, mixes passages of a 1992 Library of Congress workshop's
proceedings (public domain, Project Gutenberg's number 53), of Shakespeare's As You Like It (public
domain) and of this project's own source, so that any prefix of it holds all three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.convert.recipe import BUILTIN
from aipc.errors import UsageError

CALIBRATION_TOKENS = 2048
"""With twice as many the KL divergence of gptq stays, with half as many it is 5% more."""
WINDOW = 512  # tokens a sequence: long enough for attention over many tokens


@dataclass(frozen=True)
class Calibration:
    """Token ids int64 [windows, tokens], and where they come from."""

    ids: npt.NDArray[np.int64]
    source: str
    sha256: str  # of the text

    @property
    def facts(self) -> dict[str, Any]:
        """The calibration's part of an artifact's manifest."""
        return {"source": self.source, "sha256": self.sha256, "tokens": self.ids.size}


def read_calibration(
    source: str, encode: Callable[[str], Sequence[int]], tokens: int, window: int = WINDOW
) -> Calibration:
    """At most ``tokens`` tokens of the builtin text or of a UTF-8 file, cut into windows.

    Args:
        source: "builtin" or a file's path.
        encode: text to token ids, without special tokens.
        tokens: how many to use; what is left over after the last whole window is dropped.
        window: tokens a window.

    Raises:
        UsageError: a file that can't be read, or one of less than one window.
    """
    text = _text(source)
    ids = np.array(encode(text)[:tokens], np.int64)
    count = len(ids) // window
    if count == 0:
        raise UsageError(
            f"the calibration text {source} has only {len(ids)} tokens",
            f"give one of at least {window}, or leave out --calibration for the builtin text",
        )
    whole = ids[: count * window].reshape(count, window)
    return Calibration(whole, source, sha256(text.encode()).hexdigest())


def _text(source: str) -> str:
    if source == BUILTIN:
        return files("aipc.convert.quantizers").joinpath("calibration.txt").read_text("utf-8")
    try:
        return Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the calibration text {source} can't be read ({error})",
            "give a plain text file in UTF-8",
        ) from error
