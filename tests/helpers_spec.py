"""A valid usecase.yaml that names every section, and the problems of a broken one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ai_factory_spec import Problem, UsecaseError, parse_usecase

PAGE = Path(__file__).resolve().parents[1] / "playbooks" / "write-a-usecase.md"

VALID = """\
apiVersion: ai-factory/v1
name: churn
data:
  source: churn.csv
  target: churned
  id: customer
  time: month
  sensitive: [sex]
  pii:
    - {column: email, kind: email}
  ignore: [row]
  contract:
    columns:
      - {name: row, type: integer}
      - {name: customer, type: text}
      - {name: month, type: datetime, min: 2020-01-01}
      - {name: email, type: text}
      - {name: sex, type: category, categories: ["f", "m"]}
      - {name: age, type: integer, min: 0, max: 120}
      - {name: churned, type: category, categories: ["no", "yes"]}
model:
  task: binary
  positive: "yes"
  metric: roc_auc
acceptance:
  metrics:
    roc_auc: {min: 0.7}
  fairness: {max_error_difference: 0.2}
monitoring:
  schedule: "0 6 * * *"
"""


def page_example() -> str:
    """The file that the blocks of the playbook page make, one after the other."""
    return "".join(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


def changed(*replacements: tuple[str, str]) -> str:
    """The valid file with texts replaced, each of which must be there."""
    text = VALID
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the file"
        text = text.replace(old, new, 1)
    return text


def problems(text: str) -> dict[str, Problem]:
    """The problems of a text by path, those of one path joined; fails where there are none."""
    with pytest.raises(UsecaseError) as caught:
        parse_usecase(text, file="usecase.yaml")
    by_path: dict[str, Problem] = {}
    for p in caught.value.problems:
        before = by_path.get(p.path)
        by_path[p.path] = (
            replace(p, message=f"{before.message}; {p.message}", hint=before.hint + p.hint) if before else p
        )
    return by_path


def only_problem(text: str) -> Problem:
    """The one problem of a text; fails where there are none or more."""
    found = problems(text)
    assert len(found) == 1, found
    return next(iter(found.values()))


def line_of(text: str, part: str) -> int:
    """The 1-based line in which a part of a text first stands."""
    return text[: text.index(part)].count("\n") + 1
