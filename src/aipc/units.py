"""Quantities in words for people: a value with its unit, and absent things said to be absent."""

from __future__ import annotations

from aipc.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}
ABSENT = "not measured"


def amount(nbytes: int) -> str:
    """A size for people, in decimal units: 7_642_159_104 is "7.6 GB"."""
    size = float(nbytes)
    for unit in ("bytes", "kB", "MB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def count(number: int, noun: str) -> str:
    """Such as "1 line" or "2,000 lines"; for nouns whose plural has an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(text: str) -> float:
    """The seconds of "90s", "10m" or "2h".

    Raises:
        UsageError: it is none of these.
    """
    number, unit = text[:-1], text[-1:]
    try:
        length = float(number) * _SECONDS[unit]
    except (ValueError, KeyError) as error:
        raise UsageError(f"'{text}' is no length of time", "write 90s, 10m or 2h") from error
    if not 1 <= length < float("inf"):
        raise UsageError(f"'{text}' is less than a second or has no end", "write 90s, 10m or 2h")
    return length


def seconds(value: float | None) -> str:
    if value is None:
        return ABSENT
    if value < 0.1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    """``value`` is in seconds."""
    return ABSENT if value is None else f"{value * 1e3:.1f} ms"


def rate(value: float | None) -> str:
    """A number a second, without its unit."""
    if value is None:
        return ABSENT
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """``share`` is 0 to 1."""
    return ABSENT if share is None else f"{share:.0%}"


def nats(value: float) -> str:
    """A divergence without its unit, to the two digits that a few hundred tokens tell."""
    return f"{value:.2g}" if value >= 0.001 else "<0.001"


def joules(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g} J"
