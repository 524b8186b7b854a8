"""The statements of a monitoring job read the report that the runtime writes, and say of it what the runtime says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ai_factory_infra.drift_metrics import measure
from ai_factory_runtime.monitoring.monitor import monitor
from helpers_monitoring import NOW, make_watched, unlabelled
from helpers_serving import make_rows


@pytest.mark.parametrize(("youngest", "moved"), [(18, False), (60, True)])
def test_the_shift_that_is_published_is_the_reports_own_severity(tmp_path: Path, youngest: int, moved: bool) -> None:
    project = make_watched(tmp_path / "churn")
    rows = unlabelled(make_rows(1500, 9))
    rows[rows["age"] >= youngest].to_csv(tmp_path / "rows.csv", index=False)
    result = monitor(project, tmp_path / "rows.csv", "dev", tell=False, now=NOW)
    expected = max(c.severity for c in result.report.predictions)
    assert (expected > 1) == bool(result.report.drifted_predictions) == moved

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    script = [*measure(), 'echo "$shift"']
    done = subprocess.run(
        ["/bin/sh", "-euc", 'eval "$*"', "sh", *script],
        cwd=project.root, env={"PATH": f"{tmp_path / 'bin'}:/bin:/usr/bin"}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) == pytest.approx(expected)
