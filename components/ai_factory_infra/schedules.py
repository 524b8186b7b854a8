"""Schedules: a cron expression of five fields, UTC, as EventBridge writes it (six fields, `?`, days of the week from SUN)."""

from __future__ import annotations

import re

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
BOUNDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))


class ScheduleError(ValueError):
    """A cron expression that cannot run on EventBridge; the message says which field and what is allowed."""


def eventbridge(cron: str) -> str:
    """`cron(0 6 * * ? *)` for `0 6 * * *`. Raises ScheduleError.

    Cron runs when the day of the month *or* of the week fits; EventBridge takes only one of them, so both is refused.
    """
    parts = cron.split()
    if len(parts) != 5:
        raise ScheduleError(
            f"got {cron!r}: {len(parts)} fields; allowed: minute hour day month weekday, such as '0 6 * * *'"
        )
    values = [_values(part, *bounds) for part, bounds in zip(parts, BOUNDS, strict=True)]
    minute, hour, day, month, weekday = (_text(part, v) for part, v in zip(parts, values, strict=True))
    if day != "*" and weekday != "*":
        raise ScheduleError(f"got {cron!r}: EventBridge takes a day of the month or a day of the week, not both")
    if weekday == "*":
        return f"cron({minute} {hour} {day} {month} ? *)"
    days = sorted({v % 7 for v in values[4]})
    return f"cron({minute} {hour} ? {month} {','.join(DAYS[d] for d in days)} *)"


def _values(part: str, field: str, low: int, high: int) -> list[int]:
    """Every value one field stands for."""
    out: list[int] = []
    for item in part.split(","):
        found = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", item)
        if not found:
            raise ScheduleError(f"the {field} {item!r} is not understood; allowed: *, numbers, 1-5, 1,15 and */2")
        start, end, step = found.groups()
        first = int(start) if start else low
        last = int(end) if end else (first if start and not step else high)
        if not low <= first <= last <= high or step == "0":
            raise ScheduleError(f"the {field} {item!r} is out of bounds; allowed: {low} to {high}")
        out += range(first, last + 1, int(step or 1))
    return out


def _text(part: str, values: list[int]) -> str:
    return "*" if part == "*" else ",".join(str(v) for v in sorted(set(values)))
