"""How long a million rows of thirty columns take to be held against their contract, beside pandera with the same rules.

    python benchmarks/contract_speed.py [ROWS]

Both judge the same table in the same run: ours with conversion of types, counts, places, examples and the mask of the bad
rows; pandera validating lazily, which reports every failing value. Seconds are by the clock, and of the processor in
parentheses: the two differ where the machine has other work. The target is two seconds of the clock for ours on an idle
machine, with and without bad rows; exit 1 where the processor needed more, or the two disagree about the bad rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pandera.pandas as pa
from ai_factory_runtime.data.contract import check
from ai_factory_spec.usecase import Column, Contract

TARGET_SECONDS = 2.0
CATEGORIES = tuple(f"value {n}" for n in range(8))
SHARES = (0.0, 0.001, 0.2)


def contract() -> Contract:
    """18 numbers, 4 whole numbers, 5 categories, a truth value, a time and a unique text."""
    columns = [Column(name=f"n{i}", type="number", min=-50, max=50, nullable=i % 3 == 0) for i in range(18)]
    columns += [Column(name=f"i{i}", type="integer", min=0, max=1000) for i in range(4)]
    columns += [Column(name=f"c{i}", type="category", categories=CATEGORIES) for i in range(5)]
    columns += [Column(name="b", type="boolean"), Column(name="t", type="datetime", min="2000-01-01")]
    return Contract(columns=(*columns, Column(name="id", type="text", unique=True)))


def table(rows: int, bad: float) -> pd.DataFrame:
    """Rows that fit the contract, but for a share of them."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{i}": random.normal(size=rows) for i in range(18)})
    for i in range(4):
        frame[f"i{i}"] = random.integers(0, 1000, rows)
    for i in range(5):
        frame[f"c{i}"] = pd.Series(np.array(CATEGORIES)[random.integers(0, 8, rows)], dtype="str")
    frame["b"] = random.random(rows) < 0.5
    frame["t"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 10**8, rows), unit="s")
    frame["id"] = pd.Series([f"customer-{n:08d}" for n in range(rows)], dtype="str")
    wrong = random.random(rows) < bad
    frame.loc[wrong, ["n0", "i1"]] = 2000
    frame.loc[wrong, "c1"] = "other"
    return frame


def schema() -> pa.DataFrameSchema:
    """The same rules as one would write them for pandera."""
    columns = {}
    for column in contract().columns:
        checks = [pa.Check.isin(list(column.categories))] if column.categories else []
        bounded = column.type != "datetime"
        checks += [pa.Check.ge(column.min)] if bounded and column.min is not None else []
        checks += [pa.Check.le(column.max)] if bounded and column.max is not None else []
        columns[column.name] = pa.Column(nullable=column.nullable, unique=column.unique, checks=checks)
    return pa.DataFrameSchema(columns)


def by_pandera(frame: pd.DataFrame, rules: pa.DataFrameSchema) -> int:
    """The number of bad rows."""
    try:
        rules.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        return int(error.failure_cases["index"].nunique())
    return 0


def timed(work: Callable[[], int]) -> tuple[float, float, int]:
    """(seconds of the clock, of the processor, what the work came to)."""
    begun, used = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - begun, time.process_time() - used, found


def main(rows: int) -> int:
    """Print a line for each share of bad rows; 1 where ours takes too long or the two disagree."""
    failed, ours, rules = False, contract(), schema()
    print(f"{rows:,} rows x {len(ours.columns)} columns\nbad rows        ours (s)     pandera (s)")
    for share in SHARES:
        frame = table(rows, share)
        seconds, used, found = timed(lambda frame=frame: check(frame, ours).bad_rows)
        peer, theirs_used, theirs = timed(lambda frame=frame: by_pandera(frame, rules))
        failed |= used > TARGET_SECONDS or found != theirs
        print(f"{found:8,}   {seconds:5.2f} ({used:5.2f})   {peer:5.2f} ({theirs_used:5.2f})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
