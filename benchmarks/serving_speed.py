"""Requests a second of the endpoint, beside BentoML and MLServer serving the same model, in one run.

    python benchmarks/serving_speed.py --environments FOLDER [--seconds 4] [--rounds 3]

FOLDER gets an environment for each peer (`uv pip install`), made where it is not there yet. The model is a
HistGradientBoostingClassifier of 100 trees on 30 numeric features. The peers get it bare, on a matrix, and answer
probabilities; ours is the whole pipeline behind the endpoint as `serve` starts it: contract, features, model, capture,
metrics, one log line a request. Each server has one process for its answers and one processor; `wrk` runs on another. Before
anything is timed, the probabilities of all three are compared. Rounds go from server to server, and the median round counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn
from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.model_package.accelerator import examine
from ai_factory_runtime.model_package.package import ACCELERATOR, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.stages import deploy
from ai_factory_runtime.training.features import default_features
from ai_factory_spec import parse_usecase
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

FEATURES, TREES, TRAINING_ROWS = 30, 100, 5000
NAMES = [f"x{i}" for i in range(FEATURES)]
LOADS = ((1, 1), (16, 1), (1, 100), (16, 100))  # connections, rows
PEERS = {"BentoML": ("bentoml", ["bentoml"]), "MLServer": ("mlserver", ["mlserver", "mlserver-sklearn"])}
TARGETS = {"BentoML": 5.0, "MLServer": 3.0}
OURS = "AI Factory"

SERVE = """
import sys
from pathlib import Path
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.serving.server import serve
from ai_factory_spec import load_usecase
root = Path(sys.argv[1])
serve(Project(root, "speed", load_usecase(root / "usecase.yaml"), Hooks(None, None, None)), "dev", port=int(sys.argv[2]))
"""
BENTO = """
import bentoml, joblib, numpy as np
@bentoml.service(workers=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Model:
    def __init__(self):
        self.model = joblib.load("model.joblib")
    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)
"""
LUA = """
wrk.method, wrk.path, wrk.body = "POST", {path}, {body}
wrk.headers["Content-Type"] = "application/json"
"""


@dataclass(frozen=True)
class Server:
    """A server under test: how to ask it, and what it answers."""

    name: str
    port: int
    path: str

    def body(self, rows: np.ndarray[Any, Any]) -> bytes:
        """A request for these rows in the server's own words."""
        if self.name == OURS:
            return json.dumps({"columns": NAMES, "data": rows.tolist()}).encode()
        if self.name == "BentoML":
            return json.dumps({"rows": rows.tolist()}).encode()
        tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
        return json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}).encode()

    def probabilities(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What the server answers, (rows, 2)."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.path}", self.body(rows), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        if self.name == OURS:
            return np.array([[p["probability"][c] for c in ("no", "yes")] for p in answer["predictions"]])
        return np.array(answer if self.name == "BentoML" else answer["outputs"][0]["data"]).reshape(-1, 2)


@dataclass(frozen=True)
class Timing:
    """One measurement of wrk: requests a second, median and 99th percentile in milliseconds."""

    per_second: float
    p50: float
    p99: float


def make_model() -> tuple[Pipeline, pd.DataFrame, Any]:
    """The fitted pipeline, rows it was not fitted on, and the use case."""
    x, y = make_classification(TRAINING_ROWS + 500, FEATURES, n_informative=15, random_state=0)
    columns = "\n".join(f"      - {{name: {n}, type: number, min: -1000, max: 1000}}" for n in NAMES)
    usecase = parse_usecase(
        "apiVersion: ai-factory/v1\nname: speed\ndata:\n  source: data.csv\n  target: outcome\n  contract:\n    columns:\n"
        f'{columns}\n      - {{name: outcome, type: category, categories: ["no", "yes"]}}\n'
        'model: {task: binary, positive: "yes"}\n',
        file="usecase.yaml",
    )
    frame, target = pd.DataFrame(x, columns=NAMES), np.where(y == 1, "yes", "no")
    model = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=0)
    pipeline = Pipeline([("features", default_features(usecase)), ("model", model)])
    pipeline.fit(frame[:TRAINING_ROWS], target[:TRAINING_ROWS])
    return pipeline, frame[TRAINING_ROWS:].reset_index(drop=True), usecase


def lay_out(folder: Path, pipeline: Pipeline, held_out: pd.DataFrame, usecase: Any) -> None:
    """The files that each server is started with."""
    root, data = folder / "ours", usecase.data
    root.mkdir()
    (root / "usecase.yaml").write_text(json.dumps(usecase.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    project = Project(root, "speed", usecase, Hooks(None, None, None))  # type: ignore[arg-type]
    signature = Signature("speed", "binary", data.features, data.column("outcome"), ("no", "yes"), "yes", 0.5)
    documents = dict.fromkeys(("metrics.json", "lineage.json", "card.md", "card.html"), b"{}")
    documents[ACCELERATOR] = examine(pipeline, signature, held_out).to_json()
    sketch = build_sketch(held_out, data.features, predict(pipeline, signature, held_out))
    package = project.models / "run"
    digest = write_package(
        package, estimator=pipeline, signature=signature, sketch=sketch.to_json(), reference=held_out.head(50),
        documents=documents,
    )  # fmt: skip
    deploy(project, "dev", version=1, digest=digest, folder=package)
    for name in ("bentoml", "mlserver"):
        (folder / name).mkdir()
        joblib.dump(pipeline["model"], folder / name / "model.joblib")
    (folder / "bentoml" / "service.py").write_text(BENTO, encoding="utf-8")


def make_environment(folder: Path, name: str, packages: Sequence[str]) -> Path:
    """The peer's interpreter, its environment made where it is not there yet."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run(
            [uv, "venv", "-q", "-p", f"{sys.version_info[0]}.{sys.version_info[1]}", folder / name], check=True
        )
        pins = [f"scikit-learn=={sklearn.__version__}", "joblib"]
        subprocess.run([uv, "pip", "install", "-q", "-p", python, *packages, *pins], check=True)
    return python


@contextlib.contextmanager
def running(
    command: Sequence[str], folder: Path, server: Server, row: np.ndarray[Any, Any], processor: int
) -> Iterator[None]:
    """The server, answering, on a processor of its own; ended with all its processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "1"}
    with (folder / f"{server.port}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {processor}),
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 90
            while True:
                try:
                    server.probabilities(row)
                    break
                except OSError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise RuntimeError(f"{server.name} does not answer; see {log.name}") from None
                    time.sleep(0.2)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def measure(server: Server, script: Path, connections: int, seconds: int, processor: int) -> Timing:
    """wrk against one server. Raises RuntimeError where an answer was no 200."""
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{server.port}",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {processor})
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{server.name}: {done.stdout}")
    latency = {p: _milliseconds(v) for p, v in re.findall(r"(50|99)%\s+([\d.]+\w+)", done.stdout)}
    return Timing(float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)), latency["50"], latency["99"])  # type: ignore[union-attr]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start(stack: contextlib.ExitStack, folder: Path, environments: Path, names: Sequence[str], row: np.ndarray[Any, Any], processor: int) -> list[Server]:  # fmt: skip
    """Every server, started one after the other."""
    servers = []
    for name in names:
        server = Server(
            name, _port(), {OURS: "/invocations", "BentoML": "/predict", "MLServer": "/v2/models/hgb/infer"}[name]
        )
        if name == OURS:
            command, where = [sys.executable, "-c", SERVE, str(folder / "ours"), str(server.port)], folder / "ours"
        else:
            environment, packages = PEERS[name]
            programs, where = make_environment(environments, environment, packages).parent, folder / environment
            if name == "BentoML":
                command = [
                    str(programs / "bentoml"),
                    "serve",
                    "service:Model",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(server.port),
                ]
            else:
                settings = {
                    "host": "127.0.0.1",
                    "http_port": server.port,
                    "grpc_port": _port(),
                    "metrics_port": _port(),
                    "parallel_workers": 0,
                    "debug": False,
                }
                model = {
                    "name": "hgb",
                    "implementation": "mlserver_sklearn.SKLearnModel",
                    "parameters": {"uri": "./model.joblib"},
                }
                (where / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
                (where / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
                command = [str(programs / "mlserver"), "start", "."]
        stack.enter_context(running(command, where, server, row, processor))
        servers.append(server)
    return servers


def run(environments: Path, seconds: int, rounds: int, names: Sequence[str]) -> dict[tuple[str, int, int], Timing]:
    """The median timing of each server under each load."""
    processors = sorted(os.sched_getaffinity(0))
    pipeline, held_out, usecase = make_model()
    rows = held_out.to_numpy()
    found: dict[tuple[str, int, int], list[Timing]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        lay_out(folder, pipeline, held_out, usecase)
        encoded = pipeline[:-1].transform(held_out)
        servers = start(stack, folder, environments, names, rows[:1], processors[0])
        given = {s.name: rows if s.name == OURS else encoded for s in servers}
        for server in servers:
            np.testing.assert_allclose(
                server.probabilities(given[server.name][:100]), pipeline.predict_proba(held_out[:100]), atol=1e-9
            )
        for _ in range(rounds):
            for connections, count in LOADS:
                for server in servers:
                    script = folder / "post.lua"
                    body = server.body(given[server.name][:count]).decode()
                    script.write_text(
                        LUA.format(path=json.dumps(server.path), body=f"[==[{body}]==]"), encoding="utf-8"
                    )
                    timing = measure(server, script, connections, seconds, processors[-1])
                    found.setdefault((server.name, connections, count), []).append(timing)
    return {key: _median(timings) for key, timings in found.items()}


def _median(timings: Sequence[Timing]) -> Timing:
    return Timing(*(statistics.median(getattr(t, f) for t in timings) for f in ("per_second", "p50", "p99")))


def main() -> None:
    """Print a table, and fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="where the peers' environments are or will be")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="our own server only")
    options = parser.parse_args()
    names = [OURS] if options.alone else [OURS, *PEERS]
    found = run(options.environments.resolve(), options.seconds, options.rounds, names)
    print("| server | connections | rows | requests/s | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
    for (name, connections, rows), t in sorted(found.items(), key=lambda f: (f[0][2], f[0][1], -f[1].per_second)):
        print(f"| {name} | {connections} | {rows} | {t.per_second:.0f} | {t.p50:.2f} | {t.p99:.2f} |")
    missed = []
    for peer in names[1:]:
        for connections, rows in LOADS:
            ours, theirs = found[OURS, connections, rows], found[peer, connections, rows]
            times = ours.per_second / theirs.per_second
            print(
                f"{connections} connections, {rows} rows: {times:.1f} x {peer}; p99 {ours.p99:.2f} against {theirs.p99:.2f} ms"
            )
            if ours.p99 >= theirs.p99 or (rows == 1 and times < TARGETS[peer]):
                missed.append(f"{peer}, {connections} connections, {rows} rows")
    if missed:
        raise SystemExit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
