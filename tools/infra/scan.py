"""Hold the generated stacks against checkov's checks, as the Terraform JSON that the oracle writes for the real AWS provider.

    scan.py                 every stack there is, prod, with a release to serve and a repository that deploys

checkov runs in a virtual environment of its own, in the user's cache. Every finding needs a waiver with a reason in
`tools/infra/checkov.yaml`, and every waiver a finding. Exit 0: so it is; 1: it is not; where checkov or the oracle is missing it
says so and exits 0, because the product depends on neither.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WAIVERS = Path(__file__).with_name("checkov.yaml")
CHECKOV = "checkov==3.3.30"
ARCHITECTURES = ("streaming", "batch")  # a stream's stacks are those of `realtime`, and the ingestion
STAGE = "prod"
UNABLE = 3  # the oracle's exit code where something that it needs is missing
CLOUD = {"region": "eu-west-1", "repository": "github.com/acme/churn", "state": "s3://acme-state/churn"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What checkov holds against one resource."""

    check: str
    says: str
    resource: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """Why a check's finding is accepted, for resources whose name ends so; `*` for all."""

    check: str
    resources: str
    why: str

    def covers(self, finding: Finding) -> bool:
        """Whether this finding is what the waiver is about."""
        return finding.check == self.check and fnmatchcase(finding.resource, self.resources)


def findings(report: object) -> list[Finding]:
    """The failed checks of checkov's JSON report, which is one object for each framework, or a list of them."""
    parts: Sequence[Any] = report if isinstance(report, list) else [report]
    return [
        Finding(failed["check_id"], failed["check_name"], failed["resource"])
        for part in parts
        for failed in part.get("results", {}).get("failed_checks", [])
    ]


def waivers(text: str) -> list[Waiver]:
    """The waivers of a file. Raises ValueError where one gives no reason."""
    found = [Waiver(w["check"], w["resources"], str(w.get("why", "")).strip()) for w in yaml.safe_load(text)]
    if lacking := [w.check for w in found if len(w.why) < 20]:
        raise ValueError(f"these waivers give no reason: {', '.join(lacking)}")
    return found


def judge(found: Sequence[Finding], accepted: Sequence[Waiver]) -> Iterator[str]:
    """Every finding without a waiver, and every waiver without a finding."""
    for finding in found:
        if not any(w.covers(finding) for w in accepted):
            yield f"{finding.check} {finding.resource}: {finding.says}; mend it, or say in {WAIVERS.name} why not"
    for waiver in accepted:
        if not any(waiver.covers(f) for f in found):
            yield f"{waiver.check} {waiver.resources}: the waiver in {WAIVERS.name} waives nothing any more"


def main() -> int:
    """Scan the architectures together, so that a waiver may be about one of them."""
    oracle = Path(os.environ.get("AWS_RIG_TOOLS") or ROOT.parent / "shared" / "tools") / "aws_oracle.py"
    checkov = _checkov()
    if not oracle.exists() or checkov is None:
        sys.stdout.write(f"checkov: not scanned, no {'checkov' if oracle.exists() else oracle.name}\n")
        return 0
    found: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="checkov-") as folder:
        for architecture in ARCHITECTURES:
            graph, code = _graph(Path(folder), architecture, oracle)
            if code == UNABLE:
                sys.stdout.write("checkov: not scanned, the oracle lacks what it needs\n")
                return 0
            if code:
                sys.stdout.write(f"checkov: not scanned, the oracle found problems in {architecture}\n")
                return 1
            found += _scan(checkov, graph)
    problems = list(judge(found, waivers(WAIVERS.read_text(encoding="utf-8"))))
    sys.stdout.writelines(f"{line}\n" for line in problems)
    sys.stdout.write(f"checkov: {len(found)} findings, {len(problems)} without a waiver or waivers without a finding\n")
    return 1 if problems else 0


def _checkov() -> Path | None:
    """The program, installed where it meets nobody else's requirements; None where it cannot be."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ai-factory" / CHECKOV.replace("==", "-")
    program = home / "bin" / "checkov"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        for command in (
            ["venv", "--allow-existing", str(home)],
            ["pip", "install", "--python", str(home / "bin" / "python"), CHECKOV],
        ):
            if subprocess.run([str(uv), "--quiet", *command], check=False).returncode:
                return None
    return program


def _graph(folder: Path, architecture: str, oracle: Path) -> tuple[Path, int]:
    """The folder of one architecture's Terraform JSON, as the real provider took it, and the oracle's exit code."""
    sys.path.insert(0, str(ROOT / "tests" / "stories"))
    from make_repository import make_repository

    infra = make_repository(folder / architecture, architecture=architecture, cloud=CLOUD) / "infra"
    serving = infra / "serving" / f"Pulumi.{STAGE}.yaml"
    text = serving.read_text(encoding="utf-8")
    serving.write_text(re.sub(r'(serving:release: )""', r'\1"7-abc123"', text), encoding="utf-8")
    work = folder / f"{architecture}-work"
    command = [sys.executable, str(oracle), str(infra), "--stack", STAGE, "--work", str(work)]
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    sys.stdout.write(
        f"{architecture}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr}\n"
    )
    return work / "graph", done.returncode


def _scan(checkov: Path, graph: Path) -> list[Finding]:
    command = [str(checkov), "--file", str(graph / "main.tf.json"), "--framework", "terraform_json"]
    options = ["--compact", "--quiet", "--skip-download", "--output", "json"]
    environment: Mapping[str, str] = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run([*command, *options], check=False, text=True, capture_output=True, env=environment)
    return findings(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main())
