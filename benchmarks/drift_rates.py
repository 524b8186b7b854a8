"""How often the monitor cries wolf, and how often it sees what is there.

    python benchmarks/drift_rates.py [--windows 200] [--only columns|concept|level|whole]

Prints the tables of playbooks/monitor-a-model.md. Each window gets a reference of its own, so that the chance in both
counts. The columns are independent and of the shapes that real tables have; the seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.evaluation.estimates import Judged, estimate
from ai_factory_runtime.evaluation.residuals import residuals
from ai_factory_runtime.model_package.sketch import Sketch, build_sketch
from ai_factory_runtime.monitoring.concept import by_adwin, by_labelled_windows, concept
from ai_factory_runtime.monitoring.drift import compare
from ai_factory_runtime.monitoring.quality import Quality
from ai_factory_runtime.monitoring.schema_drift import breaks_of_rows, broken_cells
from ai_factory_spec.usecase import Column, DriftThresholds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers_drift import columns, draw
from helpers_monitoring import answered, estimated

ASKED = DriftThresholds()
CHANCE_ALONE = DriftThresholds(psi=1e-9, ks=1e-9, missing=1e-9, unseen=0.0)
COLUMNS = columns(normal=8, skewed=6, mostly_zero=4, plan=6, shop=3, flag=3)
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


def reference(rows: int, random: np.random.Generator) -> Sketch:
    """A training set's sketch."""
    frame, prediction = draw(COLUMNS, rows, random)
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
                sketch, window = reference(training, random), draw(COLUMNS, rows, random)
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
        sketch, (frame, prediction) = reference(5000, random), draw(COLUMNS, rows, random)
        moved = change(frame)
        (column,) = (c for c in frame.columns if not moved[c].equals(frame[c]))
        report = compare(sketch, moved, prediction, ASKED, 1)
        named += column in {c.name for c in report.drifted_columns}
    return named / windows


# What happened, who answers, the share of the window's rows after which the truth follows another law, and that law.
LAWS: tuple[tuple[str, Callable[..., Judged], float, dict[str, float]], ...] = (
    ("classes: nothing", answered, 0.0, {}),
    ("classes: only the rows move, by half a standard deviation", answered, 0.0, {"shift": 0.5}),
    ("classes: log odds + 0.5 from the middle on", answered, 0.5, {"bias": 0.5}),
    ("classes: log odds + 1 from the middle on", answered, 0.5, {"bias": 1.0}),
    ("classes: the features tell a third as much, from the middle on", answered, 0.5, {"slope": 0.3}),
    ("classes: log odds + 0.5 in the whole window", answered, 0.0, {"bias": 0.5}),
    ("regression: nothing", estimated, 0.0, {}),
    ("regression: only the rows move, by one standard deviation", estimated, 0.0, {"shift": 1.0}),
    ("regression: + 0.2 standard deviations from the middle on", estimated, 0.5, {"bias": 0.28}),
    ("regression: errors × 1.5 from the middle on", estimated, 0.5, {"scale": 1.5}),
)


def concept_rates(windows: int) -> None:
    """Shares of windows in which concept drift is said: with labelled windows alone, and with ADWIN besides."""
    print(f"\n### Windows in which the relation is said to have changed ({windows} each, 1,000 held-out rows)\n")
    _concept_table(windows, {"adwin": True}, {"adwin": False})


def level_rates(windows: int) -> None:
    """Shares of windows in which concept drift is said of rows that have no times, by their level alone."""
    print(f"\n### The same of rows without times, by their level alone ({windows} each)\n")
    _concept_table(windows, {"ordered": False})


def _concept_table(windows: int, *ways: dict[str, bool]) -> None:
    """The shares of each law and size, looked at in one way, and without ADWIN where a second is given and says otherwise."""
    sizes = (200, 1000, 5000)
    print(f"| what happened | {' | '.join(f'{n:,} labelled rows' for n in sizes)} |\n|---|{'---:|' * len(sizes)}")
    for name, answer, share, law in LAWS:
        cells = []
        for rows in sizes:
            found = np.zeros(len(ways))
            for seed in range(windows):
                random = np.random.default_rng([rows, seed])
                known = [r.summary() for r in residuals(answer(1000, random))]
                window = answer(rows, random, at=int(share * rows), **law)
                found += [concept(window, known, **way).moved for way in ways]
            first, *alone = found / windows
            cells.append(f"{first:.1%}" + "".join(f" (without ADWIN {a:.1%})" for a in alone if a != first))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def adwin_alone(windows: int) -> None:
    """What ADWIN sees by itself of errors that rise from 10 to 16 %, and where it and the labelled windows put the change."""
    print("\n### Errors rise from 10 to 16 % in the middle of 4,000 rows: share seen, median position\n")
    for name, find in (("ADWIN", by_adwin), ("labelled windows", by_labelled_windows)):
        places = []
        for seed in range(windows):
            random = np.random.default_rng(seed)
            rates = np.repeat([0.10, 0.16], 2000)
            places.append(find((random.random(4000) < rates).astype(np.float64)))
        seen = [p for p in places if p is not None]
        print(f"{name}: {len(seen) / windows:.1%}, row {np.median(seen) if seen else float('nan'):.0f}", flush=True)


KINDS = ("schema", "data", "predictions", "quality", "concept", "any", "any, rows without times")
Law = dict[str, float]
DAMAGE: tuple[tuple[str, Change, Law], ...] = (
    (
        "3 % of a number are texts",
        lambda f: f.assign(normal0=f["normal0"].astype(object).where(f.index % 33 != 0, "?")),
        {},
    ),
    ("unit of a number × 25.4", CHANGES["unit of a number × 25.4"], {}),
    ("mean of a number + 0.5 sd", CHANGES["mean of a number + 0.5 sd"], {}),
    ("10 % of a number missing", CHANGES["10 % of a number missing"], {}),
    ("log odds + 1 from the middle on", lambda f: f, {"bias": 1.0, "at": 0.5}),
    ("log odds + 1 in the whole window", lambda f: f, {"bias": 1.0, "at": 0.0}),
    ("the features tell two thirds as much, in the whole window", lambda f: f, {"slope": 0.67, "at": 0.0}),
    ("the features tell a third as much, in the whole window", lambda f: f, {"slope": 0.3, "at": 0.0}),
)


def whole(windows: int) -> None:
    """Shares of windows of which a whole look says that something moved; the columns as above, and true values of all rows."""
    _whole_table("without drift", (200, 1000, 5000), [("nothing", lambda f: f, {})], windows)
    _whole_table("with drift", (1000,), DAMAGE, max(20, windows // 4))


def _whole_table(title: str, sizes: Sequence[int], cases: Sequence[tuple[str, Change, Law]], windows: int) -> None:
    print(f"\n### Windows {title} of which any kind of drift is said ({windows} each, 2,000 training rows)\n")
    print(f"| what happened | window rows, all labelled | {' | '.join(KINDS)} |\n|---|{'---:|' * (len(KINDS) + 1)}")
    for name, change, law in cases:
        for rows in sizes:
            found = np.mean([_whole_look(rows, seed, change, law) for seed in range(windows)], axis=0)
            print(f"| {name} | {rows:,} | {' | '.join(f'{share:.1%}' for share in found)} |", flush=True)


def _whole_look(rows: int, seed: int, change: Change, law: Law) -> list[bool]:
    """What one look says, in the order of KINDS. The contract's bounds lie half a range beyond the training rows, as proposed."""
    random = np.random.default_rng([rows, seed, 7])
    training, _ = draw(COLUMNS, 2000, random)
    bounded = [_bounded(column, training) for column in COLUMNS]
    frame, (held_out, window) = draw(COLUMNS, rows, random)[0], _answers(rows, random, law)
    sketch = build_sketch(training, COLUMNS, held_out.prediction, [r.summary() for r in residuals(held_out)])
    screened = screen(change(frame), bounded)
    broken = breaks_of_rows(screened, (), allowed=0.0, reference_rows=2000, hidden=(), places=None).moved
    report = compare(sketch, screened.frame, window.prediction, ASKED, 1, broken_cells(screened))
    before, now = estimate("roc_auc", held_out, seed), estimate("roc_auc", window, seed)
    worse = Quality("roc_auc", rows, now, before).worse
    moved = [broken, bool(report.drifted_columns), bool(report.drifted_predictions), worse]
    timed, untimed = (concept(window, sketch.residuals, ordered=o).moved for o in (True, False))
    return [*moved, timed, any([*moved, timed]), any([*moved, untimed])]


def _answers(rows: int, random: np.random.Generator, law: Law) -> tuple[Judged, Judged]:
    """The held-out rows' answers and the window's."""
    held_out = answered(1000, random)
    return held_out, answered(rows, random, **(law | {"at": int(law.get("at", 0.0) * rows)}))


def _bounded(column: Column, training: pd.DataFrame) -> Column:
    if column.type != "number":
        return column.model_copy(update={"nullable": True, "categories": None})  # any value may come
    low, high = float(training[column.name].min()), float(training[column.name].max())
    return column.model_copy(update={"min": low - (high - low) / 2, "max": high + (high - low) / 2, "nullable": True})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--only", choices=("columns", "concept", "level", "whole"))
    arguments = parser.parse_args()
    if arguments.only in (None, "columns"):
        false_alarms(arguments.windows)
        detection(max(20, arguments.windows // 4))
    if arguments.only in (None, "concept"):
        concept_rates(arguments.windows)
        adwin_alone(arguments.windows)
    if arguments.only in (None, "level"):
        level_rates(arguments.windows)
    if arguments.only in (None, "whole"):
        whole(arguments.windows)
