"""The approval: outside dev nothing is promoted that has not been signed, and a record fits one model only."""

from __future__ import annotations

import pytest
from ai_factory_runtime.base.errors import NotApproved
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.release import approve, load_policy
from ai_factory_runtime.releases.stages import deployed, promote
from ai_factory_spec import FactoryError


def required_roles(project: Project) -> tuple[str, ...]:
    return load_policy(project).roles(project.usecase.risk.tier)


def sign_all(project: Project) -> None:
    for position, role in enumerate(required_roles(project)):
        approve(project, 1, role=role, by=f"Person {position}", comment="read the card")


def test_every_risk_tier_needs_at_least_one_signature(trained: Project) -> None:
    assert len(required_roles(trained)) >= 1


def test_an_unsigned_model_is_not_promoted(trained: Project) -> None:
    with pytest.raises(NotApproved) as refusal:
        promote(trained, 1, "staging")
    assert all(role in str(refusal.value) for role in required_roles(trained))


def test_a_fully_signed_model_is_promoted(trained: Project) -> None:
    sign_all(trained)
    promote(trained, 1, "staging")
    champion = open_registry(trained).champion()
    assert champion is not None
    assert deployed(trained, "staging").digest == champion.digest


def test_a_record_does_not_cover_a_model_that_changed_after_the_signatures(trained: Project) -> None:
    sign_all(trained)
    champion = open_registry(trained).champion()
    assert champion is not None
    card = champion.folder / "card.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nall numbers are excellent\n", encoding="utf-8")
    with pytest.raises(FactoryError):
        promote(trained, 1, "staging")


def test_a_record_edited_by_hand_is_refused(trained: Project) -> None:
    sign_all(trained)
    records = list((trained.root / "governance" / "releases").glob("1-*.yaml"))
    assert len(records) == 1
    digest = records[0].stem.partition("-")[2]
    records[0].write_text(records[0].read_text(encoding="utf-8").replace(digest, "0" * len(digest)), encoding="utf-8")
    with pytest.raises(FactoryError):
        promote(trained, 1, "staging")
