"""How a report's pictures look: matplotlib's settings, and what tells participants apart."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aipc.errors import MeasurementError
from aipc.measure.report.palette import PARTICIPANTS, light

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@contextmanager
def style() -> Iterator[None]:
    """What matplotlib draws within is in the report's style.

    Raises:
        MeasurementError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MeasurementError(
            "the pictures need matplotlib, which is not installed", "pip install 'aipc[report]'"
        ) from error
    settings = {
        "axes.edgecolor": light("edge"),
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": light("soft"),
        "axes.labelsize": 9.5,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": light("soft"),
        "axes.titlelocation": "left",
        "axes.titlesize": 9.5,
        "figure.facecolor": light("raised"),
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "grid.color": light("hair"),
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": light("ink"),
        "lines.linewidth": 1.9,
        "savefig.facecolor": "auto",
        "svg.fonttype": "none",
        "svg.hashsalt": "aipc",
        "text.color": light("ink"),
        "text.parse_math": False,
        "xtick.color": light("edge"),
        "xtick.labelcolor": light("soft"),
        "ytick.color": light("edge"),
        "ytick.labelcolor": light("soft"),
    }
    with mpl.rc_context({"backend": "agg", **settings}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # in a PNG; it gets a box
        yield


def color_of(number: int) -> str:
    """Of the participant of that number, in light."""
    return light(PARTICIPANTS[number % len(PARTICIPANTS)])


def dashes_of(number: int) -> Any:
    """A line's, as matplotlib takes them."""
    return _DASHES[number % len(_DASHES)]


def marker_of(number: int) -> str:
    return _MARKERS[number % len(_MARKERS)]
