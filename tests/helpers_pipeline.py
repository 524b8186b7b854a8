"""A stand-in for SageMaker's pipelines on this machine: it resolves what a definition says and starts its containers.

Buckets are folders. Each step gets the folders /opt/ml/… of its own container, moved below a test's folder; its command is
the one that the definition names, run as a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMMAND = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
sys.argv[0] = "churn"
from ai_factory_runtime.cli import run_project
from ai_factory_runtime.base.project import Hooks

def hooks():
    from helpers_runtime import PACKAGE, default_features, load, quick
    return Hooks(load, default_features, quick)

run_project("churn", hooks)
"""

EXECUTION = "abc123def456"


@dataclass
class Sagemaker:
    """`root` holds the buckets and the machines; `values` are the pipeline's parameters; `project` is what an image holds."""

    root: Path
    project: Path
    values: Mapping[str, str]
    ran: list[str] = field(default_factory=list)
    announced: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def execute(self, definition: Mapping[str, Any]) -> str:
        """Run a pipeline; returns how it ended."""
        return self._steps(definition["Steps"])

    def bucket(self, uri: str) -> Path:
        """The folder of an S3 address."""
        return self.root / "s3" / uri.removeprefix("s3://")

    def resolve(self, value: Any) -> Any:
        """What a value is at this point of the execution."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if set(value) == {"Get"}:
            return self._get(value["Get"])
        if set(value) == {"Std:Join"}:
            return value["Std:Join"]["On"].join(self.resolve(value["Std:Join"]["Values"]))
        if set(value) == {"Std:JsonGet"}:
            found = self._get(value["Std:JsonGet"]["PropertyFile"]["Get"])
            for part in value["Std:JsonGet"]["Path"].split("."):
                found = found[part]
            return found
        return {name: self.resolve(item) for name, item in value.items()}

    def _steps(self, steps: list[Mapping[str, Any]]) -> str:
        for step in steps:
            arguments = step["Arguments"]
            if step["Type"] == "Condition":
                (condition,) = arguments["Conditions"]
                assert condition["Type"] == "Equals"
                equal = self.resolve(condition["LeftValue"]) == self.resolve(condition["RightValue"])
                return self._steps(arguments["IfSteps" if equal else "ElseSteps"])
            self.ran.append(step["Name"])
            if step["Type"] == "Fail":
                return f"failed: {self.resolve(arguments['ErrorMessage'])}"
            if step["Type"] == "RegisterModel":
                self.announced.append(self.resolve(arguments))
                continue
            code = self._job(step["Name"], step["Type"], self.resolve(arguments), step.get("PropertyFiles", []))
            if code:
                return f"failed: step {step['Name']} ended with {code}"
        return "succeeded"

    def _job(self, name: str, kind: str, asked: Mapping[str, Any], property_files: list[Mapping[str, str]]) -> int:
        machine = self.root / "machines" / name
        opt, image = machine / "opt/ml", machine / "opt/program"
        shutil.copytree(self.project, image)
        if kind == "Processing":
            folders = {i["S3Input"]["LocalPath"]: i["S3Input"]["S3Uri"] for i in asked["ProcessingInputs"]}
            container = asked["AppSpecification"]["ContainerEntrypoint"]
        else:
            channels = asked["InputDataConfig"]
            folders = {
                f"/opt/ml/input/data/{c['ChannelName']}": c["DataSource"]["S3DataSource"]["S3Uri"] for c in channels
            }
            container = asked["AlgorithmSpecification"]["ContainerEntrypoint"]
        for local, uri in folders.items():
            _download(self.bucket(uri), machine / local.lstrip("/"))
        if kind == "Training":
            (opt / "model").mkdir(parents=True)
        environment = {name: value.replace("/opt/ml", str(opt)) for name, value in asked.get("Environment", {}).items()}
        done = start(container, image, {"FACTORY_IO": str(opt / "processing"), **environment})
        (machine / "log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            return done.returncode
        self._upload(name, kind, asked, machine)
        for file in property_files:
            place = self.outputs[name]["ProcessingOutputConfig"]["Outputs"][file["OutputName"]]["S3Output"]["S3Uri"]
            found = json.loads((self.bucket(place) / file["FilePath"]).read_text(encoding="utf-8"))
            self.outputs[name]["PropertyFiles"] = {file["PropertyFileName"]: found}
        return 0

    def _upload(self, name: str, kind: str, asked: Mapping[str, Any], machine: Path) -> None:
        if kind == "Training":
            uri = f"{asked['OutputDataConfig']['S3OutputPath']}/pipelines-{EXECUTION}-{name}/output/model.tar.gz"
            self.bucket(uri).parent.mkdir(parents=True)
            with tarfile.open(self.bucket(uri), "w:gz") as archive:
                for path in sorted((machine / "opt/ml/model").iterdir()):
                    archive.add(path, path.name)
            self.outputs[name] = {"ModelArtifacts": {"S3ModelArtifacts": uri}}
            return
        made = {output["OutputName"]: output for output in asked["ProcessingOutputConfig"]["Outputs"]}
        for output in made.values():
            local = machine / output["S3Output"]["LocalPath"].lstrip("/")
            shutil.copytree(local, self.bucket(output["S3Output"]["S3Uri"]), dirs_exist_ok=True)
        self.outputs[name] = {"ProcessingOutputConfig": {"Outputs": made}}

    def _get(self, path: str) -> Any:
        if path == "Execution.PipelineExecutionId":
            return EXECUTION
        if path.startswith("Parameters."):
            return self.values[path.removeprefix("Parameters.")]
        found: Any = self.outputs
        for part in re.findall(r"[^.\[\]']+", path.removeprefix("Steps.")):
            found = found[part]
        return found


def start(
    container: list[str], project: Path, environment: Mapping[str, str], code: str = COMMAND
) -> subprocess.CompletedProcess[str]:
    """Run `churn …` as its image would: the program is this Python, everything else as the definition says."""
    assert container[0] == "churn"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("FACTORY_", "AI_FACTORY_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *container[1:]],
        env={**plain, "AI_FACTORY_PROJECT": str(project), "OMP_NUM_THREADS": "1", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _download(source: Path, into: Path) -> None:
    assert source.exists(), f"no object has the prefix {source}"
    if source.is_dir():
        shutil.copytree(source, into)
    else:
        into.mkdir(parents=True)
        shutil.copy(source, into)
