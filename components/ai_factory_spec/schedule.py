"""Cron expressions: five fields in UTC, as crontab, GitHub and (translated) EventBridge understand them."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    ("weekday", 0, 7, {name: i for i, name in enumerate(_DAYS)}),
)

EXAMPLE = "'0 6 * * 1' is every Monday at 06:00 UTC"


def cron_problem(text: str) -> str:
    """What is wrong with a cron expression, or an empty text where nothing is."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field[0] for field in _FIELDS)
        return f"a cron expression has five fields ({names}), not {len(parts)}"
    for part, field in zip(parts, _FIELDS, strict=True):
        if problem := _field_problem(part.lower(), *field):
            return problem
    if parts[2] != "*" and parts[4] != "*":
        return (
            "give a day of the month or a weekday, not both: cron would run on either, and EventBridge cannot say that"
        )
    return ""


def _field_problem(part: str, name: str, low: int, high: int, names: dict[str, int]) -> str:
    for item in part.split(","):
        match = re.fullmatch(r"(?:(\*)|([0-9]{1,4}|[a-z]+)(?:-([0-9]{1,4}|[a-z]+))?)(?:/([0-9]{1,4}))?", item, re.ASCII)
        if match is None:
            return f"{item!r} is no {name}: a number, a range a-b, a step */n, or a list of those"
        star, first, last, step = match.groups()
        if step is not None and not 1 <= int(step) <= high:
            return f"the step {step} of the {name} is not within 1 to {high}"
        if star:
            continue
        values = [names.get(v, int(v) if v.isdigit() else -1) for v in (first, last) if v is not None]
        if any(not low <= value <= high for value in values):
            allowed = f"{low} to {high}" + (f" or {', '.join(names)}" if names else "")
            return f"{item!r} is no {name}: allowed is {allowed}"
        if len(values) == 2 and values[0] > values[1]:
            return f"the range {item!r} of the {name} runs backwards"
    return ""
