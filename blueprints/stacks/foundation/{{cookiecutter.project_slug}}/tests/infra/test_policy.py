"""The policy pack's rules over every stack of every stage. In dev they advise; `make infra-check` shows what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory_infra.policy_check import violations
from ai_factory_infra.rules import is_mandatory
from ai_factory_infra.testing import run_stage_once, stages

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.mark.parametrize("stage", [s for s in stages(INFRA) if is_mandatory(s)])
def test_no_stack_breaks_a_rule_of_the_policy_pack(stage: str) -> None:
    assert violations(run_stage_once(INFRA, stage), stage) == []
