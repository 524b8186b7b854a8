"""The bounds of a column: numbers for numbers, instants in UTC for dates."""

from __future__ import annotations

import datetime as dt
import math

Bound = float | dt.datetime


def as_bound(value: object) -> Bound:
    """A bound as a finite float or as a naive datetime in UTC; a date means its midnight. Raises ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError("a bound is a number or a date, not a truth value")
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise ValueError("a bound must be a finite number; leave it out for no bound")
        return number
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("a bound is a number or an ISO 8601 date such as 2024-01-31") from None
    if isinstance(value, dt.datetime):
        try:
            return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        except (OverflowError, ValueError):
            raise ValueError("this date is too far away") from None
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    raise ValueError("a bound is a number or an ISO 8601 date such as 2024-01-31")
