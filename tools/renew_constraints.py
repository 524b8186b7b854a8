"""Resolve both constraints files afresh: the factory's own, and the one that a generated repository carries.

The second is resolved under the first, so a generated repository runs on exactly the versions that the factory tested.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FACTORY = ROOT / "constraints.txt"
BLUEPRINTS = ROOT / "blueprints"
SLUG = "{{cookiecutter.project_slug}}"
GENERATED = BLUEPRINTS / "project" / "base" / SLUG / "constraints.txt"
HEADER = "# Exact versions, tested together. Renewed with `make constraints` in the factory.\n"


def main() -> None:
    """Write both files; the network is asked once for each."""
    versions = resolve((ROOT / "pyproject.toml").read_text(), extras=("dev", "ray", "shap"), under=None)
    FACTORY.write_text(HEADER + versions)
    GENERATED.write_text(HEADER + resolve(generated_requirements(), extras=(), under=FACTORY))


def generated_requirements() -> str:
    """What the blueprints' pyproject files together ask for, as a requirements list."""
    wanted: set[str] = {"hatchling"}
    for file in sorted(BLUEPRINTS.glob(f"*/*/{SLUG}/pyproject.toml")):
        text = (
            file.read_text()
            .replace("{{ cookiecutter.title_toml }}", '""')
            .replace("{{ cookiecutter.", "")
            .replace(" }}", "")
        )
        project = tomllib.loads(text).get("project", {})
        wanted.update(project.get("dependencies", []))
        for extra in project.get("optional-dependencies", {}).values():
            wanted.update(extra)
    return "\n".join(sorted(wanted)) + "\n"


def resolve(text: str, *, extras: tuple[str, ...], under: Path | None) -> str:
    """The pinned versions of a pyproject (with its `extras`) or of a requirements list, for every platform and Python >= 3.11."""
    source = ROOT / "pyproject.toml" if extras else Path("-")
    command = [
        "uv",
        "pip",
        "compile",
        str(source),
        "--universal",
        "--python-version",
        "3.11",
        "--no-header",
        "--no-annotate",
    ]
    command += [
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--quiet",
        "--upgrade",
        "--no-emit-package",
        "ai-factory",
    ]
    for extra in extras:
        command += ["--extra", extra]
    command += ["--constraint", str(under)] if under else []
    done = subprocess.run([sys.executable, "-m", *command], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"the versions could not be resolved:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
