"""How long `ai-factory new --yes` takes, whole process, beside cookiecutter, copier and `cp -r` on the same files.

The templates for cookiecutter and copier are made from the repository that `ai-factory` generated: the same files, with
the project's name as their only variable. All commands run in turn, so that a busy machine slows each of them alike;
only the ratios mean something. `ai-factory` alone also resolves a plan, joins files, checks every file it rendered,
writes a lock and an archive, and flushes the disk.

    python benchmarks/new_speed.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
SLUG = "speed"
SPEC = """\
apiVersion: ai-factory/v1
name: speed
title: How fast
data:
  source: rows.csv
  target: churned
  contract:
    columns:
      - {name: age, type: integer, min: 0, max: 120}
      - {name: plan, type: category, categories: [basic, plus]}
      - {name: churned, type: category, categories: ["no", "yes"]}
model: {task: binary, positive: "yes"}
"""
DELIMITERS = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True)
class Contender:
    """A command that makes the folder `out`."""

    name: str
    command: Callable[[Path], list[str]]


def main() -> None:
    """Make the inputs, time every contender in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {**os.environ, "HOME": folder, "XDG_CACHE_HOME": str(home / "cache"), "NO_COLOR": "1"}
        # As on any machine where Python may keep the bytecode it compiled.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(home / "bytecode")
        contenders = prepare(home, environment)
        times = measure(contenders, home / "out", environment, rounds)
        show(times, files=sum(p.is_file() for p in (home / "generated").rglob("*")), rounds=rounds)


def prepare(home: Path, environment: dict[str, str]) -> list[Contender]:
    """Write the spec, generate once, turn the result into templates for the others."""
    (home / "usecase.yaml").write_text(SPEC, encoding="utf-8")
    (home / "rows.csv").write_text("age,plan,churned\n31,basic,no\n62,plus,yes\n", encoding="utf-8")
    generated, spec = home / "generated", home / "usecase.yaml"
    run([str(BIN / "ai-factory"), "new", str(spec), "--out", str(generated), "--yes"], environment)
    cookie, copier = home / "cookie", home / "copier"
    as_template(generated, cookie / "{{cookiecutter.slug}}", "{{ cookiecutter.slug }}")
    (cookie / "cookiecutter.json").write_text(f'{{"slug": "{SLUG}"}}\n', encoding="utf-8")
    as_template(generated, copier, "{{ slug }}")
    (copier / "copier.yml").write_text(f"_templates_suffix: ''\nslug: {SLUG}\n", encoding="utf-8")
    return [
        Contender("cp -r", lambda out: ["cp", "-r", str(generated), str(out)]),
        Contender("ai-factory", lambda out: [str(BIN / "ai-factory"), "new", str(spec), "--out", str(out), "--yes"]),
        Contender("cookiecutter", lambda out: [str(BIN / "cookiecutter"), str(cookie), "--no-input", "-o", str(out)]),
        Contender("copier", lambda out: [str(BIN / "copier"), "copy", "--defaults", "--quiet", str(copier), str(out)]),
    ]


def as_template(repository: Path, template: Path, variable: str) -> None:
    """Copy a repository as a template: marks of other languages are kept raw, the project's name is the variable."""
    for file in sorted(p for p in repository.rglob("*") if p.is_file()):
        target = template / file.relative_to(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            shutil.copyfile(file, target)
            continue
        if any(delimiter in text for delimiter in DELIMITERS):
            text = "{% raw %}" + text + "{% endraw %}"
        elif file.name in ("pyproject.toml", "Dockerfile", "README.md"):
            text = text.replace(SLUG, variable)
        target.write_text(text, encoding="utf-8")


def measure(contenders: list[Contender], out: Path, environment: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run, by contender. One round before the first warms bytecode and caches and is not counted."""
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    for i in range(rounds + 1):
        for contender in contenders:
            shutil.rmtree(out, ignore_errors=True)
            started = time.perf_counter()
            run(contender.command(out), environment)
            if i:
                times[contender.name].append(time.perf_counter() - started)
    return times


def run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")


def show(times: dict[str, list[float]], *, files: int, rounds: int) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{files} files, median of {rounds} whole processes")
    for name, seconds in medians.items():
        spread = f"{min(times[name]) * 1000:5.0f}-{max(times[name]) * 1000:.0f}"
        print(f"  {name:13} {seconds * 1000:6.0f} ms  ({spread})  {seconds / medians['ai-factory']:5.2f} x ai-factory")


if __name__ == "__main__":
    main()
