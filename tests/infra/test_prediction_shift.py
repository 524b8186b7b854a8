"""The statements of a monitoring job read the report that the runtime writes, and say of it what the runtime says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ai_factory_infra.drift_metrics import measure
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.monitoring.monitor import monitor
from helpers_monitoring import NOW, make_watched, unlabelled
from helpers_serving import make_rows


@pytest.mark.parametrize(("youngest", "moved"), [pytest.param(18, False, marks=pytest.mark.matrix), (60, True)])
def test_the_shift_that_is_published_is_the_reports_own_severity(tmp_path: Path, youngest: int, moved: bool) -> None:
    project = make_watched(tmp_path / "churn")
    rows = unlabelled(make_rows(1500, 9))
    rows[rows["age"] >= youngest].to_csv(tmp_path / "rows.csv", index=False)
    result = monitor(project, tmp_path / "rows.csv", "dev", tell=False, now=NOW)
    expected = max(c.severity for c in result.report.predictions)
    assert (expected > 1) == bool(result.report.drifted_predictions) == moved

    assert float(told(tmp_path, project)["shift"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("plan", "age", "drift", "above"),
    [("1", 50, "1", False), ("silver", 50, "0", True), (None, None, "0", False)],
    ids=["data moved", "data moved and the contract is broken", "nothing moved"],
)
def test_rows_that_break_the_contract_raise_their_own_metric_and_not_the_one_that_retrains(
    tmp_path: Path, plan: str | None, age: int | None, drift: str, above: bool
) -> None:
    project = make_watched(tmp_path / "churn")
    rows = unlabelled(make_rows(1500, 9))
    if plan is not None:
        rows = rows.assign(age=age, plan=rows["plan"].where(rows.index % 5 != 0, plan))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    result = monitor(project, tmp_path / "rows.csv", "dev", tell=False, now=NOW)
    said = told(tmp_path, project)
    assert said["drift"] == drift
    assert (float(said["schema"]) > 1) == above == ("schema" in result.kinds)


def told(tmp_path: Path, project: Project) -> dict[str, str]:
    """What the job's statements make of the reports, after a look that found something."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    script = ["drift=1;", *measure(), 'echo "$shift,$schema,$drift"']
    done = subprocess.run(
        ["/bin/sh", "-euc", 'eval "$*"', "sh", *script],
        cwd=project.root, env={"PATH": f"{tmp_path / 'bin'}:/bin:/usr/bin"}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    return dict(zip(("shift", "schema", "drift"), done.stdout.strip().split(","), strict=True))
