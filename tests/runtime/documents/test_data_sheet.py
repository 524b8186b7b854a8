"""The data sheet tells every column of the protected rows, shows nobody, is complete, and shows any text as it was given."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.documents.card import DataFacts
from ai_factory_runtime.documents.data_sheet import SECTIONS, data_sheet_facts, render_data_sheet
from ai_factory_runtime.evaluation import gates
from ai_factory_runtime.releases.lineage import Lineage
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import UseCase
from helpers_evaluation import people
from helpers_runtime import columns_of, real_rows, usecase_document

NASTY = "<script>alert(1)</script> | `x` {{ 7*7 }} **b** \\ [l](javascript:x)"
LINEAGE = Lineage(
    "data/rows.csv", "s" * 64, "r" * 64, 500, "u" * 64, "", "c" * 64, "", False, 7, "3.11.7", {"numpy": "2"}
)


def sheet(frame: pd.DataFrame, task: str = "binary", text: str = "plain", **data: Any) -> tuple[str, str]:
    document = usecase_document(frame, task, title=text, description=text, owner=text)
    columns = columns_of(frame)
    for column in columns:
        if column["name"] == "mail":
            column |= {"type": "text", "categories": None}
    document["data"] |= {"contract": {"columns": columns}, **data}
    usecase = UseCase.model_validate(document)
    rows = to_canonical(frame, usecase.data.contract.columns)
    found = split(rows, usecase)
    counts = DataFacts(len(rows) + 3, 3, len(found.development), len(found.test), found.how, (f"copies {text}",))
    made = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
    return render_data_sheet(data_sheet_facts(usecase, "20240229T000000000Z-aaaa", made, rows, found, counts, LINEAGE))


def line(markdown: str, name: str) -> str:
    (found,) = re.findall(rf"(?m)^\| {name} \|.*$", markdown)
    return str(found)


def test_a_sheet_has_every_section_and_passes_its_gate() -> None:
    for frame, task in ((people(), "binary"), (real_rows("diabetes"), "regression"), (real_rows("wine"), "multiclass")):
        markdown, html = sheet(frame, task)
        assert re.findall(r"^## (.+)$", markdown, flags=re.MULTILINE) == list(SECTIONS)
        assert gates.data_sheet(markdown, html, SECTIONS).passed
        assert [title for title in SECTIONS if f"<h2>{title}</h2>" not in html] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_a_sheet_without_a_section_does_not_pass_its_gate(section: str) -> None:
    markdown, html = sheet(people())
    emptied = re.sub(rf"(?ms)^## {section}\n.*?(?=^## |\Z)", f"## {section}\n\n", markdown)
    assert emptied != markdown
    result = gates.data_sheet(emptied, html, SECTIONS)
    assert not result.passed
    assert section in result.sentence


def test_columns_are_told_by_type_with_what_is_missing() -> None:
    frame = people(400)
    frame.loc[:99, "age"] = np.nan
    frame["when"] = pd.date_range("2024-01-01", periods=400, freq="D")
    frame["member"] = frame["x"] > 0
    markdown, _ = sheet(frame, time="when", sensitive=["group"])
    assert "| number | 25 % |" in line(markdown, "age")
    assert re.search(r"\| \d+(\.\d+)? \(90 % between", line(markdown, "age"))
    assert "| feature, sensitive | category | 0 % | 3 | a " in line(markdown, "group")
    assert "| time | datetime | 0 % | 400 | 2024-01-01 to 2025-02-03 |" in line(markdown, "when").replace("\\", "")
    assert "| outcome | target | category |" in markdown
    assert "True" in line(markdown, "member")
    assert "500 rows were used, from 2024-01-01 to 2025-02-03" in markdown
    assert "3 of 403 rows broke the data contract" in markdown
    assert "copies plain" in markdown


def test_the_target_is_counted_on_both_sides_of_the_split() -> None:
    frame = people(400)
    markdown, _ = sheet(frame)
    rows = [int(n) for n in re.findall(r"(\d+) rows, ", line(markdown, "yes") + line(markdown, "no"))]
    assert sum(rows) == 400
    assert rows[0] + rows[1] == (frame["outcome"] == "yes").sum()


def test_nobody_is_shown() -> None:
    """Ids, personal data, texts, values of a few rows and the extremes of a number could point at one person."""
    frame = people(400)
    frame["mail"] = [f"person{i}@people.example" for i in range(400)]
    frame["customer"] = [float(100_000 + i) for i in range(400)]
    frame["job"] = np.where(np.arange(400) < 3, "astronaut", "clerk")
    frame.loc[5, "age"] = 117.0
    frame["note"] = frame["mail"]
    markdown, html = sheet(frame, id="customer", pii=[{"column": "note", "kind": "email", "action": "hash"}])
    for page in (markdown, html):
        for secret in ("@people.example", "100000", "100399", "astronaut", "117"):
            assert secret not in page
    assert "| id | number | 0 % | 400 | not shown |" in line(markdown, "customer")
    assert "1 other values" in line(markdown, "job")
    assert "note (email) was replaced by a keyed hash" in markdown


def test_a_column_that_was_removed_is_told_and_has_no_values() -> None:
    frame = people(100)
    frame["mail"] = [f"p{i}@people.example" for i in range(100)]
    document = usecase_document(frame, "binary")
    document["data"]["pii"] = [{"column": "mail", "kind": "email", "action": "drop"}]
    usecase = UseCase.model_validate(document)
    rows = to_canonical(frame, usecase.data.contract.columns).drop(columns="mail")
    found = split(rows, usecase)
    facts = data_sheet_facts(
        usecase, "r", dt.datetime.now(dt.UTC), rows, found, DataFacts(100, 0, 80, 20, "random"), LINEAGE
    )
    markdown, _ = render_data_sheet(facts)
    assert "removed on read" in line(markdown, "mail")
    assert "mail (email) was removed before anything was stored" in markdown


def test_any_text_stays_text() -> None:
    markdown, html = sheet(people(100), text=NASTY)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    for block in re.findall(r"(?m)(?:^\|.*\n)+", markdown):
        assert len({len(re.findall(r"(?<!\\)\|", text)) for text in block.splitlines()}) == 1, block
    assert "javascript:x)" not in markdown.replace("\\", "") or "\\[l\\]" in markdown
