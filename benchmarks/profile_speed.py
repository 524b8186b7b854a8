"""How long profiling 1,000,000 rows x 30 columns takes, beside pandas reading and describing the same file in the same run.

    python benchmarks/profile_speed.py [--rows N]

The profile does more than `describe`: it types every column, counts categories, finds ids, dates and personal data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from ai_factory.profile import profile_file
from ai_factory.propose import usecase_yaml
from ai_factory_spec import parse_usecase


def make_file(path: Path, rows: int) -> None:
    """Fifteen measurements, five counts, five categories, an id, an e-mail, a time, a flag and a target."""
    random = np.random.default_rng(0)
    columns: dict[str, object] = {
        f"measure {i}": (random.normal(size=rows) * 10 ** (i % 4)).round(3) for i in range(15)
    }
    columns |= {f"count {i}": random.integers(0, 10 ** (i + 1), rows) for i in range(5)}
    columns |= {
        f"kind {i}": np.array([f"value {k}" for k in range(3 + 10 * i)])[random.integers(0, 3 + 10 * i, rows)]
        for i in range(5)
    }
    columns["customer_id"] = np.arange(rows) + 100_000
    columns["email"] = [f"user{i}@example.com" for i in range(rows)]
    columns["created_at"] = (
        pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 10**8, rows), unit="s")
    ).astype(str)
    columns["active"] = np.where(random.random(rows) < 0.5, "true", "false")
    columns["churned"] = np.where(random.random(rows) < 0.2, "yes", "no")
    frame = pd.DataFrame(columns)
    frame.loc[random.random(rows) < 0.1, "measure 3"] = np.nan
    frame.to_csv(path.with_suffix(".csv"), index=False)
    frame.to_parquet(path.with_suffix(".parquet"))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        make_file(path, rows)
        for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
            file = path.with_suffix(suffix)
            ours = min(seconds(lambda file=file: profile_file(file, "churned")) for _ in range(2))  # type: ignore[misc]
            theirs = min(seconds(lambda file=file, read=read: read(file).describe(include="all")) for _ in range(2))  # type: ignore[misc]
            print(
                f"{rows:,} x 30 {suffix[1:]:8} profile {ours:5.2f} s   pandas read + describe {theirs:5.2f} s   ratio {ours / theirs:4.2f}"
            )
        profile = profile_file(file, "churned")
        print(
            f"proposing and reading the use case: {seconds(lambda: parse_usecase(usecase_yaml(profile, target='churned', name='x'), file='x')):.3f} s"
        )


if __name__ == "__main__":
    main()
