"""Batch scoring beside a bare loop of read and `predict` over the same chunks, in one run: the share of its throughput that is left.

    python benchmarks/batch_speed.py [--rows N] [--repeat N] [--jobs N …]

The model is what the runtime trains: its default features and a gradient boosting of 100 trees, on 25 numbers and 5 categories.
The bare loop opens the Parquet file, asks the estimator for each chunk's probabilities and drops them, with one thread or with as many
as the scoring has processes. Scoring checks every value, decides, names the model and writes a Parquet file that a kill cannot harm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.batch.job import score
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.tables import CHUNK_ROWS
from ai_factory_runtime.model_package.package import load_package, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.stages import deploy
from ai_factory_runtime.training.features import default_features
from ai_factory_spec import UseCase, parse_usecase
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

NUMBERS, KINDS = tuple(f"n{i}" for i in range(25)), tuple(f"k{i}" for i in range(5))


def make_usecase() -> UseCase:
    """Thirty features, an id and a binary target."""
    columns = ["{name: id, type: integer}", '{name: bought, type: category, categories: ["no", "yes"]}']
    columns += [f"{{name: {n}, type: number, min: -50, max: 50, nullable: true}}" for n in NUMBERS]
    columns += [f"{{name: {k}, type: category, categories: [a, b, c, d]}}" for k in KINDS]
    listed = "\n".join(f"      - {c}" for c in columns)
    text = f"""\
apiVersion: ai-factory/v1
name: Speed
data:
  source: rows.parquet
  target: bought
  id: id
  contract:
    columns:
{listed}
model: {{task: binary, positive: "yes"}}
"""
    return parse_usecase(text, file="usecase.yaml")


def make_rows(count: int, seed: int) -> pd.DataFrame:
    """Rows that satisfy the contract."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({n: random.normal(size=count) for n in NUMBERS})
    frame.loc[random.random(count) < 0.02, "n3"] = np.nan
    for kind in KINDS:
        frame[kind] = random.choice(list("abcd"), count)
    score = frame["n0"] + frame["n1"] * frame["n2"] + (frame["k0"] == "a") + random.normal(size=count)
    return frame.assign(id=np.arange(count), bought=np.where(score > 0, "yes", "no"))


def make_project(root: Path) -> Project:
    """A project whose stage dev has a model."""

    def unused(*_: Any) -> Any:
        raise AssertionError("scoring calls no hook")

    usecase = make_usecase()
    project, data = Project(root, "speed", usecase, Hooks(unused, unused, unused)), usecase.data
    frame = to_canonical(make_rows(20_000, 1), [*data.features, data.column("bought")])
    features = frame[[c.name for c in data.features]]
    estimator = make_pipeline(
        default_features(usecase), HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    )
    estimator.fit(features, frame["bought"])
    signature = Signature("Speed", "binary", data.features, data.column("bought"), ("no", "yes"), "yes", 0.5)
    sketch = build_sketch(features, data.features, predict(estimator, signature, features))
    names = ("metrics.json", "lineage.json", "card.md", "card.html")
    digest = write_package(
        project.models / "run", estimator=estimator, signature=signature, sketch=sketch.to_json(), reference=features.head(50),
        documents=dict.fromkeys(names, b"{}"),
    )  # fmt: skip
    deploy(project, "dev", version=1, digest=digest, folder=project.models / "run")
    return project


def bare_loop(source: Path, estimator: Any, names: list[str], threads: int) -> None:
    """Read and predict; nothing is checked and nothing kept."""
    with threadpool_limits(threads), pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=names, use_threads=False):
            estimator.predict_proba(batch.to_pandas())


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project, source = make_project(Path(folder) / "project"), Path(folder) / "rows.parquet"
        make_rows(asked.rows, 2).to_parquet(source, index=False)
        package = load_package(project.models / "run")
        names = [c.name for c in package.signature.features]
        for jobs in asked.jobs:
            took: dict[str, list[float]] = {"bare": [], "ours": []}
            for _ in range(asked.repeat):  # in turns, so that a busy machine is busy for both
                took["bare"].append(seconds(lambda n=jobs: bare_loop(source, package.estimator, names, n)))  # type: ignore[misc]
                took["ours"].append(seconds(lambda n=jobs: score(project, source, None, "dev", jobs=n)))  # type: ignore[misc]
            bare, ours = min(took["bare"]), min(took["ours"])
            print(
                f"{asked.rows:,} rows, {jobs} at once: bare loop {asked.rows / bare:,.0f} rows/s, "
                f"scoring {asked.rows / ours:,.0f} rows/s, {bare / ours:.0%}"
            )


if __name__ == "__main__":
    main()
