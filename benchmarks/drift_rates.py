"""How often the monitor cries wolf, how often it sees what is there, and how long it takes.

    python benchmarks/drift_rates.py [--windows 200]

Prints the tables of playbooks/monitor-a-model.md. Each window gets a reference of its own, so that the chance in both
counts. The columns are independent and of the shapes that real tables have; the seeds are fixed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from ai_factory_runtime.drift import compare
from ai_factory_runtime.package import Prediction
from ai_factory_runtime.sketch import Sketch, build_sketch
from ai_factory_spec.usecase import Column, DriftThresholds

ASKED = DriftThresholds()
CHANCE_ALONE = DriftThresholds(psi=1e-9, ks=1e-9, missing=1e-9, unseen=0.0)
COLUMNS = (
    *(Column(name=f"normal{i}", type="number") for i in range(8)),
    *(Column(name=f"skewed{i}", type="number") for i in range(6)),
    *(Column(name=f"mostly_zero{i}", type="integer") for i in range(4)),
    *(Column(name=f"plan{i}", type="category", categories=("a",)) for i in range(6)),
    *(Column(name=f"shop{i}", type="category", categories=("a",)) for i in range(3)),
    *(Column(name=f"flag{i}", type="boolean", nullable=True) for i in range(3)),
)
Change = Callable[[pd.DataFrame], pd.DataFrame]
CHANGES: dict[str, Change] = {
    "mean of a number + 0.25 sd": lambda f: f.assign(normal0=f["normal0"] + 0.25),
    "mean of a number + 0.5 sd": lambda f: f.assign(normal0=f["normal0"] + 0.5),
    "mean of a number + 1 sd": lambda f: f.assign(normal0=f["normal0"] + 1.0),
    "unit of a number × 25.4": lambda f: f.assign(skewed0=f["skewed0"] * 25.4),
    "spread of a number × 2": lambda f: f.assign(normal0=f["normal0"] * 2.0),
    "10 % of a number missing": lambda f: f.assign(normal0=f["normal0"].where(f.index % 10 != 0)),
    "25 % of a number missing": lambda f: f.assign(normal0=f["normal0"].where(f.index % 4 != 0)),
    "5 % of a category never seen": lambda f: f.assign(plan0=f["plan0"].where(f.index % 20 != 0, "new")),
    "a fifth of a category to a rare value": lambda f: f.assign(plan0=f["plan0"].where(f.index % 5 != 0, "e")),
    "a number stuck at its median": lambda f: f.assign(normal0=0.0),
}


def draw(rows: int, random: np.random.Generator) -> tuple[pd.DataFrame, Prediction]:
    """Rows without drift, and predictions."""
    make: dict[str, Callable[[], object]] = {
        "normal": lambda: random.normal(size=rows),
        "skewed": lambda: random.exponential(size=rows) ** 2,
        "mostly_zero": lambda: np.where(random.random(rows) < 0.7, 0.0, random.poisson(3.0, rows)),
        "plan": lambda: random.choice(list("abcde"), rows, p=[0.5, 0.3, 0.15, 0.04, 0.01]),
        "shop": lambda: random.zipf(1.7, rows).clip(max=200).astype(str),
        "flag": lambda: pd.array(
            np.where(random.random(rows) < 0.05, None, random.random(rows) < 0.1), dtype="boolean"
        ),
    }
    frame = pd.DataFrame({c.name: make[c.name.rstrip("0123456789")]() for c in COLUMNS})
    share = random.beta(2.0, 5.0, rows)
    classes = np.where(share > 0.4, "yes", "no").astype(object)
    return frame, Prediction(classes, np.column_stack([1 - share, share]))


def reference(rows: int, random: np.random.Generator) -> Sketch:
    """A training set's sketch."""
    frame, prediction = draw(rows, random)
    return build_sketch(frame, COLUMNS, prediction)


def false_alarms(windows: int) -> None:
    """Shares of windows without drift that raise any alarm."""
    print(f"### Windows without drift that raise any alarm ({windows} windows each, {len(COLUMNS)} columns)\n")
    print("| training rows | window rows | thresholds as by default | chance alone (no effect size asked for) |")
    print("|---:|---:|---:|---:|")
    for training in (300, 1000, 10_000):
        for rows in (50, 200, 1000, 5000):
            found = np.zeros(2)
            for seed in range(windows):
                random = np.random.default_rng([training, rows, seed])
                sketch, window = reference(training, random), draw(rows, random)
                found += [compare(sketch, *window, thresholds, 1).drifted for thresholds in (ASKED, CHANCE_ALONE)]
            print(f"| {training} | {rows} | {found[0] / windows:.1%} | {found[1] / windows:.1%} |", flush=True)


def detection(windows: int) -> None:
    """Shares of windows with one changed column in which that column is named."""
    print(f"\n### Windows in which the changed column is named ({windows} windows each, 5,000 training rows)\n")
    sizes = (50, 200, 1000)
    print(f"| what changed | {' | '.join(f'{n} rows' for n in sizes)} |\n|---|{'---:|' * len(sizes)}")
    for name, change in CHANGES.items():
        rates = [_named(name, change, rows, windows) for rows in sizes]
        print(f"| {name} | {' | '.join(f'{r:.0%}' for r in rates)} |", flush=True)


def _named(name: str, change: Change, rows: int, windows: int) -> float:
    named = 0
    for seed in range(windows):
        random = np.random.default_rng([len(name), rows, seed])
        sketch, (frame, prediction) = reference(5000, random), draw(rows, random)
        moved = change(frame)
        (column,) = (c for c in frame.columns if not moved[c].equals(frame[c]))
        report = compare(sketch, moved, prediction, ASKED, 1)
        named += column in {c.name for c in report.drifted_columns}
    return named / windows


def speed() -> None:
    """Processor seconds for a million rows, and the sketch's size."""
    random = np.random.default_rng(0)
    frame, prediction = draw(1_000_000, random)
    start = time.process_time()
    sketch = build_sketch(frame, COLUMNS, prediction)
    built = time.process_time() - start
    start = time.process_time()
    compare(sketch, frame, prediction, ASKED, 1)
    compared = time.process_time() - start
    size = len(sketch.to_json().encode()) / 1e6
    print(
        f"\n1,000,000 rows × {len(COLUMNS)} columns: sketch {built:.1f} s ({size:.2f} MB), comparison {compared:.1f} s of processor time"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    arguments = parser.parse_args()
    false_alarms(arguments.windows)
    detection(max(20, arguments.windows // 4))
    speed()
