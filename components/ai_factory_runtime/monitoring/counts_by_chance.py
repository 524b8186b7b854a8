"""Counts by chance: how many of a window's rows can be something that was rare among the training rows, by chance alone.

The conditional test of two rates: Przyborowski & Wilenski, Biometrika 31 (1940).
"""

from __future__ import annotations

from scipy.special import betainc


def least_surprising_count(seen: int, reference_rows: int, rows: int, level: float) -> int:
    """The smallest count among `rows` whose probability, given `seen` among `reference_rows`, is at most `level`.

    Given the total of both counts, the window's is binomial: P(X >= x) = I(x, total - x + 1) at rows / all rows.
    `rows` + 1 when no count is improbable enough.
    """
    odds = rows / (rows + reference_rows)
    low, high = 0, rows + 1
    while high - low > 1:
        x = (low + high) // 2
        if float(betainc(x, seen + 1, odds)) <= level:
            high = x
        else:
            low = x
    return high
