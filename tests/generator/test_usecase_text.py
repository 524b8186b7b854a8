"""usecase.yaml keeps the user's own text: only where the data lies is changed, and nothing around it."""

from __future__ import annotations

import pytest
import yaml
from ai_factory.usecase_text import with_source
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  source: churn.csv   # here\n", '  source: "data/churn.csv"   # here\n'),
        ("  source: 'it''s.csv'\n", '  source: "data/churn.csv"\n'),
        ("  source:\n    churn.csv\n", '  source:\n    "data/churn.csv"\n'),
        ("  source: >-\n    churn.csv\n", '  source: "data/churn.csv"\n'),
        ("  'source' : |\n    churn.csv\n\n", "  'source' : \"data/churn.csv\"\n\n"),
    ],
)
def test_only_the_value_changes(old: str, new: str) -> None:
    head = '# 🎉 ü first\nname: "x" # keep\ndata:\n  target: y # source: no\n'
    tail = "  contract: {source: other}\nsource: top\n"
    assert with_source(head + old + tail, "data/churn.csv") == head + new + tail


def test_a_text_that_says_so_already_is_left_alone() -> None:
    text = "data: {source: data/churn.csv, target: y}\n"
    assert with_source(text, "data/churn.csv") is text


def test_windows_line_ends_stay() -> None:
    assert with_source("data:\r\n  source: a\r\n  b: c\r\n", "d/a") == 'data:\r\n  source: "d/a"\r\n  b: c\r\n'


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@example(old="\xa0", new="0", title="0")  # a space to Python, a character to YAML
@given(old=NAMES, new=NAMES, title=NAMES)
def test_whatever_the_names_hold_the_rest_stays(old: str, new: str, title: str) -> None:
    text = yaml.safe_dump({"title": title, "data": {"source": old, "target": title}}, allow_unicode=True)
    before = yaml.safe_load(text)
    assert yaml.safe_load(with_source(text, new)) == {**before, "data": {**before["data"], "source": new}}
