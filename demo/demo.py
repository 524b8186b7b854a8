"""The whole path on real data: profile, generate, train, gate, serve, score, monitor. Nothing leaves this machine.

The data is the Wisconsin breast cancer set that scikit-learn ships (569 cell samples, 30 measurements, diagnosis).
Every command is printed before it runs, so that a person can repeat it by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer

FACTORY = Path(sys.executable).with_name("ai-factory")
SLUG = "breast-cancer"
HELD_BACK = 150
DRIFT_FOUND = 3


def main() -> None:
    """Run every step; stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    out: Path = parser.parse_args().out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    project = out / SLUG

    heading("1. A real data file")
    write_data(out)
    heading("2. Profile it: what is in the file, and a use case proposed from it")
    call(FACTORY, "profile", f"{SLUG}.csv", "--target", "diagnosis", "--out", "usecase.yaml", cwd=out)
    heading("3. Generate the repository")
    call(FACTORY, "new", "usecase.yaml", "--out", SLUG, "--yes", cwd=out)
    heading("4. Its environment, then its pipeline: contract, split, candidates, gates, registry, model card")
    call("make", "setup", cwd=project)
    call("make", "run", cwd=project)
    heading("5. Serve the model and ask it")
    ask_the_service(project, out)
    heading("6. Score a batch of rows that the training never saw")
    call("make", "score", "INPUT=../new-patients.csv", cwd=project)
    heading("7. Is the new data still like the training data?")
    call("make", "monitor", "INPUT=../new-patients.csv", cwd=project)
    print("\nNow the same rows as if one clinic had measured the radius in inches: drift must be found.")
    call(*monitor_command(project), "../new-patients-in-inches.csv", cwd=project, expect=DRIFT_FOUND)
    show_where_everything_is(project)


def write_data(out: Path) -> None:
    """Write the training file, a batch held back from it, and the same batch with one column in the wrong unit."""
    bunch = load_breast_cancer(as_frame=True)
    frame: pd.DataFrame = bunch.data.rename(columns=lambda c: c.replace(" ", "_"))
    frame["diagnosis"] = bunch.target.map(dict(enumerate(bunch.target_names)))
    frame = frame.sample(frac=1.0, random_state=0, ignore_index=True)
    batch = frame.tail(HELD_BACK).drop(columns="diagnosis")
    millimetres = [c for c in batch.columns if c.endswith("_radius")]
    frame.head(-HELD_BACK).to_csv(out / f"{SLUG}.csv", index=False)
    batch.to_csv(out / "new-patients.csv", index=False)
    batch.assign(**{c: batch[c] / 25.4 for c in millimetres}).to_csv(out / "new-patients-in-inches.csv", index=False)
    print(f"{out / f'{SLUG}.csv'}: {len(frame) - HELD_BACK} rows to learn from; {HELD_BACK} held back as a later batch")


def ask_the_service(project: Path, out: Path) -> None:
    """Start the service, wait until it is healthy, send it one good and one bad row, stop it."""
    port = free_port()
    row = json.loads(pd.read_csv(out / "new-patients.csv", nrows=1).to_json(orient="records"))[0]
    command = [str(project_command(project)), "serve", "--port", str(port)]
    say(command, project)
    server = subprocess.Popen(command, cwd=project)
    try:
        wait_until_healthy(server, f"http://127.0.0.1:{port}/ping")
        print("POST /invocations, one row:\n ", post(port, {"records": [row]}))
        print(
            "POST /invocations, a text where a number belongs:\n ",
            post(port, {"records": [{**row, "mean_radius": "wide"}]}),
        )
    finally:
        server.terminate()
        server.wait(20)


def post(port: int, body: dict[str, object]) -> str:
    """Send JSON to /invocations; return status and answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as refused:
        return f"{refused.code} {refused.read().decode()}"


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, seconds: float = 60) -> None:
    """Wait for /ping; stop the demo when the service ends or stays silent."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"the service ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the service did not answer {url} within {seconds:.0f} s")


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def project_command(project: Path) -> Path:
    """The generated project's own command."""
    return project / ".venv" / "bin" / SLUG


def monitor_command(project: Path) -> tuple[str, ...]:
    """`monitor` without make, whose own exit code would hide the command's."""
    return str(project_command(project)), "monitor"


def call(*command: object, cwd: Path, expect: int = 0) -> None:
    """Run a command where a person would, and stop the demo unless it ends as expected."""
    words = [str(word) for word in command]
    say(words, cwd)
    environment = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}}
    code = subprocess.run(words, cwd=cwd, env=environment, check=False).returncode
    if code != expect:
        raise SystemExit(f"`{shlex.join(words)}` ended with exit code {code}, expected {expect}")


def say(words: list[str], cwd: Path) -> None:
    """Print a command as a person would type it."""
    shown = [Path(words[0]).name, *words[1:]]
    print(f"\n[{cwd.name}]$ {shlex.join(shown)}", flush=True)


def heading(text: str) -> None:
    """Print a step's title."""
    print(f"\n=== {text}", flush=True)


def show_where_everything_is(project: Path) -> None:
    """List the files worth opening, and check that each exists."""
    wanted = {
        "the repository": project,
        "the use case": project / "usecase.yaml",
        "model cards": newest(project, "artifacts/runs/*/card.html"),
        "predictions": newest(project, "artifacts/scores/**/*.parquet", "artifacts/scores/**/*.csv"),
        "drift report": newest(project, "artifacts/reports/**/drift.html"),
        "release record": newest(project, "governance/releases/*.yaml"),
    }
    heading("Where everything is")
    for what, path in wanted.items():
        print(f"  {what:15} {path}")
    print(f"\nNext: cd {shlex.quote(str(project))} && make help")


def newest(project: Path, *patterns: str) -> Path:
    """The newest file that fits the first fitting pattern; a missing one fails the demo."""
    for pattern in patterns:
        found = sorted(project.glob(pattern), key=lambda p: p.stat().st_mtime)
        if found:
            return found[-1]
    raise SystemExit(f"nothing fits {', '.join(patterns)} in {project}")


if __name__ == "__main__":
    main()
