"""The text that models are judged on, cut into windows of tokens.

The builtin text is the first five chapters of Lewis Carroll's Alice's Adventures in Wonderland
(1865, public domain; Project Gutenberg's number 11) and the GNU General Public License, version 3
(which may be copied verbatim).  Nothing of aipc's is calibrated on either: that text is
another (`aipc.convert.quantizers.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from aipc.errors import MeasurementError, UsageError
from aipc.options import check, option

FEWEST = 64
"""Positions; fewer show nothing."""

BUILTIN = "builtin"
_BUILTIN_FILES = ("legal.txt", "prose.txt")  # the shorter first


@dataclass(frozen=True)
class Cut:
    """How a text is cut into windows, each of which a model reads from its own beginning."""

    tokens: int = option(2048, "positions of the text that are judged", minimum=FEWEST)
    window: int = option(512, "tokens that the model sees at once", minimum=16)
    overlap: int = option(
        128,
        "tokens that windows share: the least context of a position, but at the start",
        minimum=1,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.overlap >= self.window:
            raise UsageError(
                f"--overlap {self.overlap} leaves nothing of --window {self.window}",
                "give a smaller overlap",
            )


@dataclass(frozen=True)
class Passage:
    name: str
    text: str


@dataclass(frozen=True)
class Window:
    """Token ids that are scored together; positions from ``first`` on but the last are judged."""

    ids: tuple[int, ...]
    first: int

    @property
    def places(self) -> int:
        """A position is a token whose successor is in the window."""
        return len(self.ids) - 1 - self.first


def read_passages(source: str = BUILTIN) -> tuple[Passage, ...]:
    """The builtin texts, or a UTF-8 file.

    Raises:
        UsageError: the file can't be read.
    """
    if source == BUILTIN:
        here = files("aipc.measure.quality")
        return tuple(Passage(n, here.joinpath(n).read_text("utf-8")) for n in _BUILTIN_FILES)
    try:
        return (Passage(Path(source).name, Path(source).read_text("utf-8")),)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the text '{source}' can't be read ({error})", "give a plain text file in UTF-8"
        ) from error


def identity(passages: Sequence[Passage]) -> str:
    """SHA-256 of the texts, in hexadecimal."""
    return sha256("\0".join(passage.text for passage in passages).encode()).hexdigest()


def cut_passages(
    passages: Sequence[Passage], encode: Callable[[str], Sequence[int]], cut: Cut
) -> dict[str, list[Window]]:
    """Windows of each passage: an even share of the positions, or all that it has.

    What a short passage lacks, those after it give.  ``encode`` puts the tokens first that the
    model expects at a beginning (a bos), which then begin every window.

    Raises:
        MeasurementError: the text has fewer than 64 positions.
    """
    begin = tuple(encode(""))
    found: dict[str, list[Window]] = {}
    left = cut.tokens
    for at, passage in enumerate(passages):
        ids = encode(passage.text)[len(begin) :]
        share = left // (len(passages) - at)
        found[passage.name] = list(cut_ids(ids, share, cut.window, cut.overlap, begin))
        left -= sum(window.places for window in found[passage.name])
    if cut.tokens - left < FEWEST:
        raise MeasurementError(
            f"the text has only {cut.tokens - left} tokens to judge", "give a longer one"
        )
    return found


def cut_ids(
    ids: Sequence[int], positions: int, window: int, overlap: int, begin: tuple[int, ...] = ()
) -> Iterator[Window]:
    """Windows of at most ``window`` tokens; ``positions`` are judged in all, if there are so many.

    Each position is judged once.  Without an ``overlap`` a window's first token is judged nowhere.
    """
    room = window - len(begin)
    start, first = 0, 0
    while positions > 0:
        count = min(room, len(ids) - start, positions + first + 1)
        if count - 1 <= first:
            return
        yield Window((*begin, *ids[start : start + count]), first + len(begin))
        positions -= count - 1 - first
        start += room - overlap
        first = max(overlap - 1, 0)
