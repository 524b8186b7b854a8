"""Facts: the user's text keeps its meaning in Markdown, TOML, JSON, YAML and Python, whatever it holds."""

from __future__ import annotations

import ast
import html
import json
import re
import tomllib

import pytest
import yaml
from ai_factory.facts import FACTS, facts, json_text, markdown_line, markdown_text, toml_text
from helpers_generator import usecase
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)


def shown(markdown: str) -> str:
    """The text a reader sees of rendered Markdown, with the structure it was given."""
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    return html.unescape(rendered)


@given(TEXT)
def test_a_text_survives_toml_json_yaml_and_python(text: str) -> None:
    literal = json_text(text)
    assert json.loads(literal) == text
    assert yaml.safe_load(f"x: {literal}\n") == {"x": text}
    assert ast.literal_eval(literal) == text
    assert tomllib.loads(f"x = {toml_text(text)}") == {"x": text}
    assert "\n" not in literal


PRINTABLE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60)


@given(PRINTABLE)
def test_a_title_is_shown_letter_for_letter_in_a_heading_and_starts_nothing_else(text: str) -> None:
    wanted = re.sub(r"\s+", " ", text).strip()
    if wanted:
        assert shown(f"# {markdown_line(text)}\n") == f"<h1>{wanted}</h1>\n"


@given(PRINTABLE)
def test_a_paragraph_stays_a_paragraph(text: str) -> None:
    wanted = re.sub(r"\s+", " ", text).strip()
    if wanted:
        assert shown(markdown_line(text)) == f"<p>{wanted}</p>\n"


@given(PRINTABLE)
def test_a_table_cell_stays_one_cell(text: str) -> None:
    wanted = re.sub(r"\s+", " ", text).strip()
    rendered = shown(f"| | |\n|---|---|\n| a | {markdown_line(text)} |\n")
    assert re.findall(r"<td>(.*?)</td>", rendered, re.DOTALL)[1:] == [wanted] if "</td>" not in wanted else True


@pytest.mark.parametrize(
    "text", ["# no heading", "- no list", "1. no list", "> no quote", "```", "---", "===", "    code"]
)
def test_no_line_of_a_description_becomes_markup(text: str) -> None:
    rendered = shown(markdown_text(f"First line\n{text}\nlast line"))
    assert rendered == f"<p>First line\n{text.strip()}\nlast line</p>\n"


def test_the_paragraphs_of_a_description_stay() -> None:
    assert shown(markdown_text("One.\n\n\n\nTwo.\n")) == "<p>One.</p>\n<p>Two.</p>\n"


def test_every_fact_is_text_and_documented() -> None:
    found = facts(usecase(), pipelines=["a", "b"], stacks=[], factory_version="1")
    assert {name for name in found if not isinstance(found[name], str)} == set()
    assert list(found) == list(FACTS)
    assert found["pipelines"] == "a b"
    assert found["title_markdown"] == "Churn"


def test_a_row_of_the_table_is_left_out_where_there_is_nothing_to_say() -> None:
    table = facts(usecase(), pipelines=[], stacks=[], factory_version="1")["usecase_table_markdown"]
    assert "Sponsor" not in table
    kpi = {"name": "churn rate", "unit": "%", "baseline": 5, "target": 4.25}
    told = usecase(business={"sponsor": "A | B", "kpi": kpi})
    table = facts(told, pipelines=[], stacks=[], factory_version="1")["usecase_table_markdown"]
    assert "| Sponsor | A \\| B |" in table
    assert "churn rate: from 5 to 4.25 %" in table


def test_numbers_are_written_without_exponent() -> None:
    told = facts(usecase(cost={"monthly_budget": 1500000.0}), pipelines=[], stacks=[], factory_version="1")
    assert told["monthly_budget"] == "1500000"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "200"),
        ({"acceptance": {"latency": {"p99_ms": 12.5}}}, "12.5"),
        ({"acceptance": {"latency": {"p99_ms": 12.5}}, "deployment": {"rollout": {"max_p99_ms": 40.0}}}, "40"),
    ],
)
def test_the_latency_alarm_stands_at_the_bound_that_was_agreed(fields: dict[str, object], expected: str) -> None:
    assert facts(usecase(**fields), pipelines=[], stacks=[], factory_version="1")["p99_ms"] == expected


A, B, C = "111122223333", "444455556666", "777788889999"


@pytest.mark.parametrize(
    ("cloud", "stages", "made_in", "told"),
    [
        ({}, ["dev", "prod"], "", ""),
        ({"accounts": {"dev": A}}, ["dev", "prod"], "", f"dev={A}"),
        ({"registry_account": C, "accounts": {"dev": A, "prod": C}}, ["dev", "prod"], "prod", f"dev={A},prod={C}"),
        ({"registry_account": A, "accounts": {"prod": A, "dev": A}}, ["dev", "prod"], "prod", f"dev={A},prod={A}"),
        ({"registry_account": C, "accounts": {"dev": A, "prod": B}}, ["dev", "prod"], "", f"dev={A},prod={B}"),
        ({"registry_account": C, "accounts": {"dev": A, "prod": C}}, ["dev"], "", f"dev={A}"),
    ],
    ids=["none shared", "one account", "prod's account", "one for all", "another's account", "no such stage"],
)
def test_a_shared_registry_is_made_by_the_last_stage_in_its_account(
    cloud: dict[str, object], stages: list[str], made_in: str, told: str
) -> None:
    found = facts(usecase(cloud=cloud, deployment={"stages": stages}), pipelines=[], stacks=[], factory_version="1")
    assert (found["registry_stage"], found["stage_accounts"]) == (made_in, told)
