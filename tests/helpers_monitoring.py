"""What the tests of monitoring share: a watched project whose model says what made it, servers that take notices."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.residuals import residuals
from ai_factory_runtime.model_package.package import load_package, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.lineage import code_sha256
from ai_factory_runtime.releases.stages import deploy
from ai_factory_spec.usecase import Channel, Column, Retraining
from helpers_serving import make_documents, make_estimator, make_project, make_rows

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CODE = "src/churn/features.py"


def make_watched(root: Path, *, task: str = "binary", rows: int = 3000) -> Project:
    """A project whose stage dev has a model with residuals and with the lineage of the code that is there."""
    project = make_project(root, task=task)
    (root / CODE).parent.mkdir(parents=True)
    (root / CODE).write_text("FEATURES = 3\n", encoding="utf-8")
    data = project.usecase.data
    target = data.column(data.target)
    frame = to_canonical(make_rows(rows, 1), [*data.features, target])
    estimator = make_estimator(task)
    estimator.fit(frame[[c.name for c in data.features]], frame[target.name])
    positive = project.usecase.model.positive
    signature = Signature(
        project.usecase.name, task, data.features, target, target.categories or (), positive, 0.5 if positive else None
    )  # fmt: skip
    later = to_canonical(make_rows(rows, 1001), [*data.features, target])
    answers = predict(estimator, signature, later)
    held_out = Judged(np.asarray(later[target.name].to_numpy()), answers, signature)
    sketch = build_sketch(frame, data.features, answers, [r.summary() for r in residuals(held_out)])
    lineage = {"code_sha256": code_sha256(root), "git_commit": "", "libraries": {"numpy": np.__version__}}
    documents = {**make_documents(project), "lineage.json": json.dumps(lineage).encode()}
    folder = project.models / "run-1"
    digest = write_package(
        folder, estimator=estimator, signature=signature, sketch=sketch.to_json(), reference=frame.head(20),
        documents=documents,
    )  # fmt: skip
    deploy(project, "dev", version=1, digest=digest, folder=folder)
    assert load_package(folder).digest == digest
    return project


def with_monitoring(
    project: Project, *, notify: Sequence[dict[str, Any]] = (), retraining: dict[str, Any] | None = None
) -> Project:
    """The project with other people to tell, or other triggers."""
    monitoring = project.usecase.monitoring.model_copy(
        update={
            "notify": tuple(Channel.model_validate(c) for c in notify),
            "retraining": Retraining.model_validate(retraining or {}),
        }
    )
    return dataclasses.replace(project, usecase=project.usecase.model_copy(update={"monitoring": monitoring}))


def answered(
    rows: int, random: np.random.Generator, *, shift: float = 0.0, bias: float = 0.0, slope: float = 1.0, at: int = 0
) -> Judged:
    """A calibrated model's answers to `rows` rows moved by `shift`; from row `at` on the truth follows another law."""
    x = 2 * random.normal(shift, 1, rows) - 1
    told = 1 / (1 + np.exp(-x))
    true = told.copy()
    true[at:] = 1 / (1 + np.exp(-(slope * x[at:] + bias)))
    truth = np.where(random.random(rows) < true, "yes", "no").astype(object)
    values = np.where(told >= 0.5, "yes", "no").astype(object)
    return Judged(truth, Prediction(values, np.column_stack([1 - told, told])), BINARY)


def estimated(
    rows: int, random: np.random.Generator, *, shift: float = 0.0, bias: float = 0.0, scale: float = 1.0, at: int = 0
) -> Judged:
    """The same for a regression: errors of Student's t with four degrees of freedom."""
    x, error = random.normal(shift, 1, rows), random.standard_t(4, rows)
    error[at:] = error[at:] * scale + bias
    return Judged(x + error, Prediction(x, None), NUMBER)


_X = (Column(name="x", type="number"),)
BINARY = Signature("churn", "binary", _X, Column(name="y", type="category", categories=("no", "yes")), ("no", "yes"), "yes", 0.5)  # fmt: skip
NUMBER = Signature("churn", "regression", _X, Column(name="y", type="number"))


@dataclasses.dataclass
class Taken:
    """What a webhook's server was sent; it answers with `answers` in turn, the last one from then on."""

    address: str
    answers: list[int]
    bodies: list[Any] = dataclasses.field(default_factory=list)


@contextmanager
def webhook(*answers: int) -> Iterator[Taken]:
    """A server that takes notices, on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(taken.answers.pop(0) if len(taken.answers) > 1 else taken.answers[0])
            self.send_header("Location", taken.address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    taken = Taken(f"http://127.0.0.1:{server.server_port}/hook/secret-token", list(answers or (200,)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unlabelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose outcomes are not known yet."""
    return rows.drop(columns=["churned", "segment", "value"])
