"""What is written from the component library is up to date, and every component says what it must. `make reference` writes."""

from __future__ import annotations

import helpers_inventory
import pytest
from ai_factory_infra import provider, reference
from ai_factory_infra.catalogue import Component, catalogue
from helpers_infra import ROOT

RENEW = "run `make reference` and look at what changed"


def test_the_reference_page_is_what_the_sources_say() -> None:
    stored = (ROOT / "playbooks" / "component-reference.md").read_text(encoding="utf-8")
    assert stored == reference.page(catalogue()), RENEW


def test_the_plugins_schema_is_the_stored_one() -> None:
    """A host of another language was written against it: an input that is gone, or newly needed, breaks that host."""
    assert provider.schema() == provider.SCHEMA.read_text(encoding="utf-8"), RENEW


@pytest.mark.slow
def test_a_stack_makes_what_its_inventory_says_and_nothing_else() -> None:
    stored = {file.name: file.read_text(encoding="utf-8") for file in helpers_inventory.GOLDEN.glob("*.txt")}
    made = helpers_inventory.inventories()
    assert sorted(made) == sorted(stored), RENEW
    for name, text in made.items():
        assert text.splitlines() == stored[name].splitlines(), f"{name}: {RENEW}"


def test_what_the_last_release_protects_is_still_known_under_its_name_or_an_alias() -> None:
    """Another name, type or parent without an alias is another resource: the old one would have to be deleted."""
    released = helpers_inventory.RELEASED.read_text(encoding="utf-8").split()
    assert len(released) > 20
    assert sorted(set(released) - helpers_inventory.known_by()) == []


@pytest.mark.parametrize("component", catalogue().components, ids=lambda c: c.name)
def test_every_component_says_what_it_is_for_what_it_costs_idle_its_limits_and_where_aws_explains_it(
    component: Component,
) -> None:
    assert component.purpose
    assert component.does
    assert [title for title, text in component.sections.items() if not text] == []
    assert '"' in component.sections["AWS"]


@pytest.mark.parametrize("component", catalogue().components, ids=lambda c: c.name)
def test_every_input_of_every_component_is_explained(component: Component) -> None:
    assert [f.name for f in component.inputs if not f.says] == []
