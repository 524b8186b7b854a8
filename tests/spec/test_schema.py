"""The JSON Schema describes every field, accepts what the reader accepts, and refuses what an editor can see is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ai_factory_spec import json_schema
from helpers_spec import VALID, changed, page_example
from jsonschema import Draft202012Validator

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def plain(text: str) -> Any:
    """The document as an editor sees it: dates are texts there."""
    return yaml.load(text, Loader=yaml.BaseLoader) if not text else _without_dates(yaml.safe_load(text))


def _without_dates(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_dates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_dates(member) for member in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every property in every definition, with where it is."""
    if isinstance(schema, dict):
        for name, member in schema.get("properties", {}).items():
            if not path.endswith("/if"):
                yield f"{path}/{name}", member
        for key, member in schema.items():
            yield from properties(member, f"{path}/{key}")
    elif isinstance(schema, list):
        for i, member in enumerate(schema):
            yield from properties(member, f"{path}/{i}")


def test_the_schema_is_a_valid_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_field_and_every_section_is_described() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 80
    assert [path for path, member in found.items() if not member.get("description", "").strip()] == []
    assert [name for name, member in SCHEMA["$defs"].items() if not member.get("description", "").strip()] == []


@pytest.mark.parametrize("text", [VALID, page_example()], ids=["helper", "playbook"])
def test_a_valid_file_is_valid_for_an_editor(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(plain(text))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: churn\n", ""),
        ("name: churn\n", "nam: churn\nname: x\n"),
        ("task: binary", "task: binar"),
        ('  positive: "yes"\n', ""),
        (', categories: ["f", "m"]', ""),
        ('"no", "yes"', '0, "yes"'),
        ("min: 0.7", 'min: "0.7"'),
        ('schedule: "0 6 * * *"', "schedule: daily"),
        ("name: churn\n", "name: churn\ncloud: {accounts: {dev: 111122223333}}\n"),
        ("name: churn\n", "name: churn\ncloud: {accounts: {dve: '111122223333'}}\n"),
    ],
)
def test_an_editor_sees_a_mistake(old: str, new: str) -> None:
    assert list(VALIDATOR.iter_errors(plain(changed((old, new)))))
