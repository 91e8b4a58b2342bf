"""How long answers have taken lately, and so how long another will have to wait."""

from __future__ import annotations

_NEWEST = 0.2  # share of the newest answer in the mean
_UNKNOWN_S = 5.0
_LONGEST_S = 600.0


class Pace:
    def __init__(self) -> None:
        self._mean_s: float | None = None

    def note(self, seconds: float) -> None:
        """An answer took so long."""
        mean = seconds if self._mean_s is None else self._mean_s
        self._mean_s = mean + _NEWEST * (seconds - mean)

    def wait_s(self, ahead: int, at_once: int) -> float:
        """Seconds until ``ahead`` answers are done, ``at_once`` at a time."""
        mean = _UNKNOWN_S if self._mean_s is None else self._mean_s
        return min(mean * ahead / at_once, _LONGEST_S)
