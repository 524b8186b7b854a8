"""The documentation holds: links lead somewhere, and every blueprint, command and field of a use case is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
import yaml
from ai_factory_spec.usecase import UseCase
from helpers_generator import plan_of

ROOT = Path(__file__).resolve().parents[1]
PLAYBOOKS = ROOT / "playbooks"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(PLAYBOOKS.rglob("*.md"))]
MANIFESTS = sorted((ROOT / "blueprints").glob("*/*/blueprint.yaml"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def all_playbooks() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(PLAYBOOKS.glob("*.md")))


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("architecture", [m.parent.name for m in MANIFESTS if m.parts[-3] == "architectures"])
def test_every_link_of_a_page_leads_somewhere_in_a_repository_too(architecture: str) -> None:
    """A blueprint brings some of the pages along as docs/; what they link to must come along."""
    plan = plan_of(ROOT / "blueprints", architecture=architecture)
    brought = {page for layer in plan.layers for page in layer.blueprint.docs}
    assert len(brought) > 5
    linked = {
        (page, link.partition("#")[0])
        for page in brought
        for link in LINK.findall((PLAYBOOKS / page).read_text(encoding="utf-8"))
        if not link.startswith(("https://", "http://", "mailto:", "#"))
    }
    assert [f"{page} -> {file}" for page, file in sorted(linked) if file not in brought] == []


def test_every_page_is_in_the_index() -> None:
    index = (PLAYBOOKS / "README.md").read_text(encoding="utf-8")
    pages = [str(p.relative_to(PLAYBOOKS)) for p in sorted(PLAYBOOKS.rglob("*.md")) if p.name != "README.md"]
    assert [page for page in pages if f"]({page})" not in index] == []


def test_every_blueprint_is_named_in_a_playbook() -> None:
    text = all_playbooks()
    assert len(MANIFESTS) >= 12
    unnamed = [f"{m.parts[-3]}/{m.parts[-2]}" for m in MANIFESTS if f"{m.parts[-3]}/{m.parts[-2]}" not in text]
    assert unnamed == []


def test_every_command_is_named_in_a_playbook() -> None:
    from ai_factory.cli import app

    text = all_playbooks()
    group = typer.main.get_command(app)
    shown = [name for name, command in group.commands.items() if not command.hidden]  # type: ignore[attr-defined]
    assert {"new", "profile", "plan", "blueprints", "schema"} <= set(shown)
    assert [name for name in shown if f"ai-factory {name}" not in text] == []


def test_every_field_of_a_use_case_is_named_in_its_playbook() -> None:
    text = (PLAYBOOKS / "write-a-usecase.md").read_text(encoding="utf-8")
    assert [name for name in UseCase.model_fields if name not in text] == []


def test_every_page_a_blueprint_brings_exists() -> None:
    brought = {page for m in MANIFESTS for page in yaml.safe_load(m.read_text(encoding="utf-8")).get("docs", [])}
    assert brought
    assert [page for page in sorted(brought) if not (PLAYBOOKS / page).is_file()] == []


def test_every_decision_has_context_decision_and_consequence() -> None:
    pages = sorted((PLAYBOOKS / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence")), page.name
