"""The colors of a report's pictures: each a role, with a value for light and one for dark.

The first ones are those of the web page (serve/page/style.css).  Pictures never tell participants
apart by color alone: lines have their dashes, points their markers, bars their names.
"""

from __future__ import annotations

from collections.abc import Callable

ROLES: dict[str, tuple[str, str]] = {
    "raised": ("#fffefb", "#1b221f"),
    "ink": ("#1c2420", "#e4e9e4"),
    "soft": ("#56615b", "#a2aea7"),
    "hair": ("#dcd8cb", "#2b3531"),
    "edge": ("#858c85", "#6d7a73"),
    "one": ("#0d6656", "#74cfba"),
    "two": ("#b3500f", "#f0a76a"),
    "three": ("#4b4aa6", "#a9a8f5"),
    "four": ("#9c2a68", "#f09cc6"),
    "five": ("#1f6a9e", "#84c4f0"),
    "six": ("#6b5a2c", "#d2bf85"),
}
"""Role → (light, dark); no two roles have the same light value."""
PARTICIPANTS = ("one", "two", "three", "four", "five", "six")
_ROLE_OF = {light: role for role, (light, _) in ROLES.items()}


def light(role: str) -> str:
    return ROLES[role][0]


def role_of(color: str) -> str | None:
    """The role that has this value in light."""
    return _ROLE_OF.get(color.lower())


def page_rules() -> str:
    """CSS for a page that sets ``color-scheme``: a variable and two classes a role."""
    variables = "".join(
        f"--{role}:light-dark({one},{other});" for role, (one, other) in ROLES.items()
    )
    return f":root{{{variables}}}\n{_classes(lambda role: f'var(--{role})')}"


def file_rules() -> str:
    """CSS for an SVG file of its own: its attributes are light, this is the dark of it."""
    return f"@media (prefers-color-scheme:dark){{{_classes(lambda role: ROLES[role][1])}}}"


def _classes(color: Callable[[str], str]) -> str:
    rules = (f".f-{role}{{fill:{color(role)}}}.s-{role}{{stroke:{color(role)}}}" for role in ROLES)
    return "".join(rules)
