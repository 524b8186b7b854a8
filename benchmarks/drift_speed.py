"""How long the monitor's comparison takes, beside Evidently's population stability index on the same rows in one run.

    python benchmarks/drift_speed.py [--rows 1000000] [--evidently PYTHON]

`PYTHON` is the interpreter of an environment with evidently, pandas and pyarrow: Evidently's pins and this repository's
exclude each other. Without it only our side is timed. The columns are 20 numbers and 10 categories, the window is moved a
little in every third. Our side reads what production has, the sketch; Evidently is given the reference rows themselves.
Both are timed on frames in memory, each three times (Evidently once above ONCE seconds), and the best counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

NUMBERS, CATEGORIES = 20, 10
REPEATS = 3
ONCE = 20.0
# Runs in the other environment: it may not import anything of this repository.
PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from importlib.metadata import version
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
columns = DataDefinition(
    numerical_columns=[c for c in reference if c.startswith("n")],
    categorical_columns=[c for c in reference if c.startswith("c")],
)
took = []
while len(took) < int(sys.argv[3]) and (not took or took[0] < float(sys.argv[4])):
    start = time.perf_counter()
    a, b = (Dataset.from_pandas(f, data_definition=columns) for f in (current, reference))
    snapshot = Report([DataDriftPreset(method="psi")]).run(a, b)
    found = snapshot.dict()
    took.append(time.perf_counter() - start)
values = {
    m["config"]["column"]: float(m["value"]) for m in found["metrics"] if "column" in m.get("config", {})
}
print(json.dumps({"seconds": min(took), "version": version("evidently"), "psi": values}))
"""


def table(rows: int, random: np.random.Generator, shift: float) -> pd.DataFrame:
    """Numbers n0 … and categories c0 …; every third is moved."""
    columns: dict[str, object] = {}
    for i in range(NUMBERS):
        moved = shift if i % 3 == 0 else 0.0
        columns[f"n{i}"] = random.normal(moved, 1.0, rows) if i % 2 else random.exponential(1.0 + moved, rows)
    for i in range(CATEGORIES):
        shares = np.array([0.5 - (shift / 4 if i % 3 == 0 else 0.0), 0.3, 0.15, 0.04, 0.01])
        columns[f"c{i}"] = random.choice(list("abcde"), rows, p=shares / shares.sum())
    return pd.DataFrame(columns)


def ours(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[float, float, dict[str, float]]:
    """(seconds for the sketch, which is made once at training; seconds for the comparison; PSI of each column)."""
    from ai_factory_runtime.base.prediction import Prediction
    from ai_factory_runtime.model_package.sketch import Sketch, build_sketch
    from ai_factory_runtime.monitoring.drift import compare
    from ai_factory_spec.usecase import Column, DriftThresholds

    specs = [
        Column(name=n, type="number") if n.startswith("n") else Column(name=n, type="category", categories=("a",))
        for n in reference.columns
    ]
    nothing = Prediction(np.zeros(1), None)
    start = time.perf_counter()
    text = build_sketch(reference, specs, nothing).to_json()
    sketched, took, found = time.perf_counter() - start, [], {}
    for _ in range(REPEATS):
        start = time.perf_counter()
        report = compare(Sketch.from_json(text), current, None, DriftThresholds(), 1)
        took.append(time.perf_counter() - start)
        found = {c.name: next(f.value for f in c.findings if f.statistic == "psi") for c in report.columns}
    return sketched, min(took), found


def peer(python: Path, reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, object]:
    """What Evidently took and found."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("reference.parquet", "current.parquet")]
        for path, frame in zip(paths, (reference, current), strict=True):
            frame.to_parquet(path, index=False)
        done = subprocess.run(
            [python, "-c", PEER, *paths, str(REPEATS), str(ONCE)], text=True, capture_output=True, check=False
        )
    if done.returncode:
        sys.exit(f"Evidently failed:\n{done.stderr[-2000:]}")
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(rows: int, python: Path | None) -> None:
    """Time both and print one line each."""
    random = np.random.default_rng(0)
    reference, current = table(rows, random, 0.0), table(rows, random, 0.3)
    size = f"{rows:,} rows × {reference.shape[1]} columns"
    sketched, seconds, found = ours(reference, current)
    print(f"{size}: comparison {seconds:.2f} s (PSI, KS, missing, unseen); sketch, once at training, {sketched:.2f} s")
    if python is None:
        return
    other = peer(python, reference, current)
    theirs = float(str(other["seconds"]))
    print(f"{size}: Evidently {other['version']}, PSI alone, {theirs:.1f} s: {theirs / seconds:.0f} times as long")
    values = other["psi"]
    assert isinstance(values, dict)
    apart = max(abs(found[name] - value) for name, value in values.items())
    print(f"largest difference of a column's PSI: {apart:.3f} ({len(values)} columns compared)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--evidently", type=Path)
    arguments = parser.parse_args()
    main(arguments.rows, arguments.evidently)
