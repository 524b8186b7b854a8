"""What checkov finds is mended or waived with a reason: a finding without a waiver, and a waiver without a finding, both fail."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ai_factory.loading import load_catalog
from ai_factory.plan import resolve
from helpers_generator import usecase
from helpers_infra import ROOT


@pytest.fixture(scope="module")
def scan() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scan", ROOT / "tools" / "infra" / "scan.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scan"] = module
    spec.loader.exec_module(module)
    return module


def report(*resources: str) -> dict[str, object]:
    failed = [{"check_id": "CKV_1", "check_name": "Ensure it", "resource": r} for r in resources]
    return {"check_type": "terraform_json", "results": {"failed_checks": failed}}


WAIVER = """
- check: CKV_1
  resources: "aws_x.*-jobs"
  why: It is attached by id, which a scan does not follow.
"""


def test_a_finding_needs_a_waiver_about_that_resource(scan: ModuleType) -> None:
    accepted = scan.waivers(WAIVER)
    assert list(scan.judge(scan.findings(report("aws_x.prod-jobs")), accepted)) == []
    (problem,) = scan.judge(scan.findings([report("aws_x.prod-jobs", "aws_x.prod-other")]), accepted)
    assert problem.startswith("CKV_1 aws_x.prod-other: Ensure it; mend it, or say in checkov.yaml why not")


def test_a_waiver_that_waives_nothing_is_said(scan: ModuleType) -> None:
    (problem,) = scan.judge(scan.findings(report()), scan.waivers(WAIVER))
    assert "waives nothing any more" in problem


def test_a_waiver_gives_a_reason(scan: ModuleType) -> None:
    with pytest.raises(ValueError, match="CKV_1"):
        scan.waivers('- {check: CKV_1, resources: "*", why: "fine"}')
    assert scan.waivers(scan.WAIVERS.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("code", "exits"), [(1, 1), (3, 0)])
def test_only_an_oracle_that_lacks_something_excuses_a_scan(
    scan: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, exits: int
) -> None:
    """Stacks that the provider refuses are not scanned, and not passed either."""
    oracle = tmp_path / "aws_oracle.py"
    oracle.write_text(f"print('7 problems'); raise SystemExit({code})\n")
    monkeypatch.setenv("AWS_RIG_TOOLS", str(tmp_path))
    monkeypatch.setattr(scan, "_checkov", lambda: Path(sys.executable))
    assert scan.main() == exits


def test_every_stack_that_there_is_is_scanned(scan: ModuleType) -> None:
    catalog = load_catalog()
    plans = [resolve(usecase(architecture=a), catalog, factory_version="0.0.0") for a in scan.ARCHITECTURES]
    laid = {layer.id for plan in plans for layer in plan.layers}
    assert sorted({b.id for b in catalog.of_kind("stacks")} - laid) == []
