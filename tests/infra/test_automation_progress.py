"""What the engine says becomes lines, counts and reasons; components and stacks are no resources."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ai_factory_infra.automation.progress import Screen, Seen, in_words, kind_of
from pulumi.automation.events import EngineEvent

URN = "urn:pulumi:dev::churn-serving::ai-factory:index:RealtimeEndpoint$aws:iam/role:Role::churn-dev-role"


def step(op: str, *, kind: str = "aws:iam/role:Role", custom: bool = True) -> dict[str, Any]:
    state = {"type": kind, "urn": URN, "id": "r-1", "parent": "", "provider": "", "custom": custom}
    return {"metadata": {"op": op, "urn": URN, "type": kind, "provider": "", "new": state}}


def told(*events: dict[str, Any], planning: bool = False) -> tuple[str, Seen]:
    out = io.StringIO()
    with Screen(out).operation("serving: update", planning=planning) as operation:
        for number, event in enumerate(events):
            operation.on_event(EngineEvent.from_json({"sequence": number, "timestamp": 0, **event}))
    return out.getvalue(), operation.seen


def test_a_resource_that_was_made_is_a_line_and_is_counted() -> None:
    said, seen = told({"resourcePreEvent": step("create")}, {"resOutputsEvent": step("create")})
    assert said.split() == ["+", "created", "iam", "Role", "churn-dev-role"]
    assert seen.counts == {"create": 1}


def test_a_preview_says_what_would_be_done() -> None:
    said, seen = told({"resourcePreEvent": step("update")}, {"resOutputsEvent": step("update")}, planning=True)
    assert said.split() == ["~", "update", "iam", "Role", "churn-dev-role"]
    assert in_words(seen.counts, done=False) == "1 to update"


def test_what_failed_is_a_line_and_is_not_counted_as_done() -> None:
    said, seen = told(
        {"resourcePreEvent": step("create")},
        {"diagnosticEvent": {"severity": "error", "message": "<{%reset%}>too long<{%reset%}>\n", "color": ""}},
        {"resOpFailedEvent": step("create")},
    )
    assert "failed to create" in said
    assert seen.errors == ["too long"]
    assert seen.counts == {}


@pytest.mark.parametrize(
    "event",
    [
        step("create", kind="ai-factory:index:Network", custom=False),
        step("create", kind="pulumi:providers:aws"),
        step("same"),
    ],
)
def test_components_providers_and_what_stays_are_no_changes(event: dict[str, Any]) -> None:
    said, seen = told({"resourcePreEvent": event}, {"resOutputsEvent": event})
    assert said == ""
    assert seen.counts == {}


@pytest.mark.parametrize(("level", "errors"), [("mandatory", 1), ("advisory", 0)])
def test_a_broken_rule_stops_only_where_it_is_mandatory(level: str, errors: int) -> None:
    event = {
        "message": "has no key",
        "color": "",
        "policyName": "kms-on-config",
        "policyPackName": "p",
        "policyPackVersion": "1",
        "policyPackVersionTag": "1",
        "enforcementLevel": level,
        "resourceUrn": URN,
    }
    said, seen = told({"policyEvent": event})
    assert len(seen.errors) == errors
    assert "kms-on-config: churn-dev-role: has no key" in (said + "".join(seen.errors))


def test_kinds_and_nothing_have_words() -> None:
    assert kind_of("aws:sagemaker/endpoint:Endpoint") == "sagemaker Endpoint"
    assert in_words({}, done=True) == "nothing changed"
    assert in_words({"create": 2, "same": 9}, done=True) == "2 created"
