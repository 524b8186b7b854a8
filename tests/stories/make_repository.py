"""Generate a repository as a user would, with the `ai-factory` command, from a data set that scikit-learn ships.

make_repository.py --out DIR [--data breast_cancer|diabetes|wine] [--architecture realtime|batch|streaming]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from sklearn import datasets

FACTORY = Path(sys.executable).with_name("ai-factory")
DIABETES_NAMES = {
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


def breast_cancer() -> tuple[pd.DataFrame, str]:
    """569 cell samples; two classes."""
    bunch = datasets.load_breast_cancer(as_frame=True)
    frame = bunch.data.rename(columns=lambda c: c.replace(" ", "_"))
    frame["diagnosis"] = bunch.target.map(dict(enumerate(bunch.target_names)))
    return frame, "diagnosis"


def diabetes() -> tuple[pd.DataFrame, str]:
    """442 patients in real units; sex is a category (coded 1 and 2), progression a number."""
    bunch = datasets.load_diabetes(as_frame=True, scaled=False)
    frame = bunch.data.rename(columns=DIABETES_NAMES)
    frame["progression"] = bunch.target
    return frame, "progression"


def wine() -> tuple[pd.DataFrame, str]:
    """178 wines; three cultivars."""
    bunch = datasets.load_wine(as_frame=True)
    frame = bunch.data.rename(columns=lambda c: c.replace("/", " / "))
    frame["cultivar"] = bunch.target.map(dict(enumerate(bunch.target_names)))
    return frame, "cultivar"


DATA = {"breast_cancer": breast_cancer, "diabetes": diabetes, "wine": wine}


def make_repository(out: Path, *, data: str = "breast_cancer", **fields: object) -> Path:
    """Write the data as CSV, profile it, set `fields` in the use case, generate the repository at `out`."""
    frame, target = DATA[data]()
    source = out.parent / f"{out.name}-source"
    source.mkdir(parents=True, exist_ok=True)
    frame.to_csv(source / f"{data}.csv", index=False)
    spec = source / "usecase.yaml"
    call(FACTORY, "profile", source / f"{data}.csv", "--target", target, "--out", spec)
    if fields:
        asked = yaml.safe_load(spec.read_text(encoding="utf-8")) | fields
        spec.write_text(yaml.safe_dump(asked, sort_keys=False, allow_unicode=True), encoding="utf-8")
    call(FACTORY, "new", spec, "--out", out, "--yes")
    return out


def call(*command: object) -> None:
    """Run a command; show what it said when it fails."""
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", choices=sorted(DATA), default="breast_cancer")
    parser.add_argument("--architecture", choices=["realtime", "batch", "streaming"], default="realtime")
    asked = parser.parse_args()
    make_repository(asked.out, data=asked.data, architecture=asked.architecture)
