"""usecase.yaml is read whole or refused whole: every problem at once, with its path, its line and what would be right."""

from __future__ import annotations

import string
import time
from pathlib import Path

import pytest
import yaml
from ai_factory_spec import UseCase, UsecaseError, load_usecase, parse_usecase, source
from ai_factory_spec.errors import SHOWN_PROBLEMS
from ai_factory_spec.usecase import Column, Threshold
from helpers_spec import VALID, changed, line_of, only_problem, page_example, problems
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError


def test_a_valid_file_becomes_a_use_case() -> None:
    usecase = parse_usecase(VALID, file="usecase.yaml")
    assert [column.name for column in usecase.data.features] == ["sex", "age"]
    assert usecase.data.column("month").min is not None
    assert usecase.model.primary_metric == "roc_auc"


def test_the_playbooks_example_is_a_valid_file() -> None:
    usecase = parse_usecase(page_example(), file="page")
    assert usecase.model_fields_set == set(UseCase.model_fields), "the page shows every section"


def test_a_use_case_survives_being_written_and_read_again() -> None:
    usecase = parse_usecase(page_example(), file="page")
    assert UseCase.model_validate(usecase.model_dump()) == usecase
    assert UseCase.model_validate_json(usecase.model_dump_json()) == usecase
    assert parse_usecase(yaml.safe_dump(usecase.model_dump(mode="json")), file="again") == usecase


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = changed(
        ("name: churn\n", "nam: churn\n"),
        ("target: churned", "target: chrned"),
        ("type: integer, min: 0", "type: integr, min: 0"),
        ("metric: roc_auc", "metric: roc_uac"),
        ("{min: 0.7}", "{min: 7}"),
    )
    with pytest.raises(UsecaseError) as caught:
        parse_usecase(text, file="usecase.yaml")
    found = caught.value.problems
    assert {p.path for p in found} == {
        "name", "nam", "data.target", "data.contract.columns[5].type", "model.metric", "acceptance.metrics.roc_auc.min",
    }  # fmt: skip
    assert [p.line for p in found] == sorted(p.line for p in found)
    assert all(f"usecase.yaml:{p.line}: {p.path}" in str(caught.value) for p in found)


@pytest.mark.parametrize(
    ("old", "new", "path", "expected", "wrong"),
    [
        ("name: churn\n", "nam: churn\nname: x\n", "nam", "did you mean 'name'?", 'nam:'),
        ("target: churned", "target: Churnd", "data.target", "did you mean 'churned'?", 'Churnd'),
        ("id: customer", "id: custmer", "data.id", "did you mean 'customer'?", 'custmer'),
        ("ignore: [row]", "ignore: [raw]", "data.ignore[0]", "did you mean 'row'?", 'raw'),
        ("column: email", "column: mail", "data.pii[0].column", "did you mean 'email'?", 'mail}'),
        ("type: integer, min: 0", "type: integr, min: 0", "data.contract.columns[5].type", "did you mean 'integer'?", 'integr'),
        ("task: binary", "task: binar", "model.task", "did you mean 'binary'?", 'binar'),
        ('positive: "yes"', 'positive: "Yes"', "model.positive", "did you mean 'yes'?", '"Yes"'),
        ("metric: roc_auc", "metric: roc_uac", "model.metric", "did you mean 'roc_auc'?", "roc_uac"),
        ("    roc_auc: {", "    roc_uac: {", "acceptance.metrics.roc_uac", "did you mean 'roc_auc'?", "roc_uac"),
        ("model:\n", "model:\n  sed: 3\n", "model.sed", "did you mean 'seed'?", 'sed'),
        ("model:\n", "target: churned\nmodel:\n", "target", "it belongs to business.kpi.target or data.target", 'target: churned\nmodel'),
        ("name: churn\n", "name: churn\ncloud: {accounts: {dve: '111122223333'}}\n", "cloud.accounts.dve", "did you mean 'dev'?", 'dve'),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_reported_where_it_stands_with_the_nearest_valid_one(
    old: str, new: str, path: str, expected: str, wrong: str
) -> None:
    text = changed((old, new))
    problem = problems(text)[path]
    assert expected in problem.message
    assert problem.line == line_of(text, wrong)


@pytest.mark.parametrize(
    ("old", "new", "path", "message", "hint"),
    [
        ('"no", "yes"', 'no, "yes"', "data.contract.columns[6].categories[0]", "no, which YAML reads as false", 'quote it: "no"'),
        ('positive: "yes"', "positive: yes", "model.positive", "yes, which YAML reads as true", 'quote it: "yes"'),
        ("name: churn\n", "name: 2024\n", "name", "got 2024; a text is needed", 'quote it: "2024"'),
        ("name: churn\n", "name: 2024-01-01\n", "name", "got 2024-01-01", 'quote it: "2024-01-01"'),
        ("name: churn\n", "name: churn\ncloud: {accounts: {dev: 111122223333}}\n", "cloud.accounts.dev", "got 111122223333", 'quote it: "111122223333"'),
        ("name: churn\n", "name: churn\ncloud: {accounts: {dev: '1'}}\n", "cloud.accounts.dev", "'1'", "twelve digits"),
        ("min: 0.7", 'min: "0.7"', "acceptance.metrics.roc_auc.min", "got '0.7'; a number is needed", "remove the quotes"),
        ("min: 0.7", "min: 7e-1", "acceptance.metrics.roc_auc.min", "a number is needed", "YAML reads this as text"),
        ("min: 0.7", "min: .nan", "acceptance.metrics.roc_auc.min", "finite", ""),
        ("min: 0, max: 120", "min: .inf", "data.contract.columns[5].min", "finite", ""),
        ("min: 2020-01-01", "min: 2020", "data.contract.columns[2].min", "must be a date such as 2024-01-31", ""),
        ("min: 2020-01-01", "min: soon", "data.contract.columns[2].min", "ISO 8601", ""),
        ("min: 2020-01-01", "min: 2020-13-01", "data.contract.columns[2].min", "'2020-13-01' is no date", "quote it"),
        ("name: churn\n", "name:\n", "name", "is empty", "give a value or remove the line"),
        ("ignore: [row]", "ignore: row", "data.ignore", "got 'row'; a list is needed", 'write ["row"]'),
        ("  fairness: {max_error_difference: 0.2}", "  fairness: 0.2", "acceptance.fairness", "a section with fields", ""),
        ("model:\n", "model:\n  test_size: 1.5\n", "model.test_size", "got 1.5; it must be less than 0.9", ""),
        ("model:\n", "model:\n  seed: 1.5\n", "model.seed", "a whole number is needed", ""),
        ("model:\n", "model:\n  candidates: []\n", "model.candidates", "has 0 entries; at least 1", ""),
        ('schedule: "0 6 * * *"', "schedule: daily", "monitoring.schedule", "five fields", ""),
        ('schedule: "0 6 * * *"', 'schedule: ""', "monitoring.schedule", "is empty", ""),
        ("name: churn\n", f"name: {'x' * 201}\n", "name", "has 201 characters; at most 200", ""),
        ("name: churn\n", "name: churn\ncloud: {region: europe}\n", "cloud.region", "got 'europe'; that does not fit", "The AWS region"),
        ("apiVersion: ai-factory/v1", "apiVersion: ai-factory/v2", "apiVersion", "did you mean 'ai-factory/v1'?", "allowed: ai-factory/v1"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_shown_as_it_stands_with_what_is_allowed(
    old: str, new: str, path: str, message: str, hint: str
) -> None:
    problem = problems(changed((old, new)))[path]
    assert message in problem.message
    assert hint in problem.hint
    assert problem.line > 0


@pytest.mark.parametrize(
    ("replacements", "path", "message"),
    [
        ([("target: churned", "target: sex")], "data.sensitive[0]", "is the target"),
        ([("id: customer", "id: churned")], "data.id", "is the target"),
        ([("time: month", "time: customer")], "data.time", "is the id already"),
        ([("time: month", "time: sex")], "data.time", "of type category; it must be datetime"),
        ([("sensitive: [sex]", "sensitive: [age]")], "data.sensitive[0]", "groups are compared by a category or boolean column"),
        ([("sensitive: [sex]", "sensitive: [sex, sex]")], "data.sensitive[1]", "listed twice"),
        ([("sensitive: [sex]", "sensitive: [email]")], "data.pii[0].action", "cannot be dropped on read"),
        ([("name: age", "name: sex")], "data.contract.columns[5].name", "first as data.contract.columns[4]"),
        ([('["f", "m"]', '["f", "m", "f"]')], "data.contract.columns[4].categories[2]", "listed twice"),
        ([(', categories: ["f", "m"]', "")], "data.contract.columns[4].categories", "needs the list of values allowed"),
        ([("type: integer, min: 0, max: 120", "type: integer, categories: [a]")], "data.contract.columns[5].categories", "fits only type category"),
        ([("type: integer, min: 0, max: 120", "type: boolean, min: 0")], "data.contract.columns[5].min", "not boolean"),
        ([("max: 120", "max: -1")], "data.contract.columns[5].max", "no value passes"),
        ([("contract:\n", "contract:\n    min_rows: 5\n    max_rows: 4\n")], "data.contract.max_rows", "no data passes"),
        ([("ignore: [row]", "ignore: [row, sex, age]")], "data.contract.columns", "no column is left as a feature"),
        ([('categories: ["no", "yes"]', 'categories: ["no", "yes"], nullable: true')], "data.contract.columns[6].nullable", "target cannot be nullable"),
        ([("task: binary", "task: multiclass"), ('  positive: "yes"\n', ""), ("roc_auc\n", "accuracy\n"), ("roc_auc: {", "accuracy: {")], "model.task", "does not fit a target of 2 classes"),
        ([("task: binary", "task: regression"), ('  positive: "yes"\n', ""), ("roc_auc\n", "r2\n"), ("roc_auc: {", "r2: {")], "model.task", "regression needs a numeric target"),
        ([('type: category, categories: ["no", "yes"]', "type: integer")], "data.contract.columns[6].type", "needs a target of type category"),
        ([('  positive: "yes"\n', "")], "model.positive", "needs the class of interest"),
        ([('positive: "yes"', 'positive: "maybe"')], "model.positive", "none of the classes 'no', 'yes'"),
        ([("metric: roc_auc", "metric: r2")], "model.metric", "r2 does not fit a binary task"),
        ([("roc_auc: {", "f1_macro: {")], "acceptance.metrics.f1_macro", "does not fit a binary task"),
        ([("{min: 0.7}", "{}")], "acceptance.metrics.roc_auc", "needs `min` or `max`"),
        ([("{min: 0.7}", "{min: 0.7, max: 0.6}")], "acceptance.metrics.roc_auc.max", "no model passes"),
        ([("{min: 0.7}", "{max: 0.7}")], "acceptance.metrics.roc_auc.max", "alone lets the worst models pass"),
        ([("{min: 0.7}", "{min: 1.7}")], "acceptance.metrics.roc_auc.min", "lies between 0 and 1"),
        ([("{max_error_difference: 0.2}", "{min_group_size: 5}")], "acceptance.fairness", "nothing is bounded"),
        ([("  sensitive: [sex]\n", "")], "acceptance.fairness", "needs `data.sensitive`"),
        ([("acceptance:\n", "acceptance:\n  allowed_leakage: [agee]\n")], "acceptance.allowed_leakage[0]", "did you mean 'age'?"),
        ([("monitoring:\n", "deployment: {stages: [staging, dev]}\nmonitoring:\n")], "deployment.stages", "dev, then staging, then prod"),
        ([("monitoring:\n", "deployment: {stages: [prod]}\nmonitoring:\n")], "deployment.stages", "dev, then staging, then prod"),
        ([("monitoring:\n", "deployment: {serving: {mode: serverless}, rollout: {strategy: canary}}\nmonitoring:\n")], "deployment.rollout.strategy", "does not fit an endpoint of mode serverless"),
        ([("monitoring:\n", "deployment: {serving: {mode: async}, rollout: {strategy: shadow}}\nmonitoring:\n")], "deployment.rollout.strategy", "does not fit an endpoint of mode async"),
        ([("monitoring:\n", "architecture: streaming\ndeployment: {serving: {mode: async}}\nmonitoring:\n")], "deployment.serving.mode", "asks its endpoint for each answer"),
        ([("monitoring:\n", "stacks: [serving, serving]\nmonitoring:\n")], "stacks[1]", "listed twice"),
        ([("name: churn\n", "name: Churn (prod)\n")], "name", "could not be told from prod of a use case 'churn'"),
        ([("name: churn\n", "name: churn-devices-dev\n")], "name", "could not be told from dev of a use case 'churn-devices'"),
        ([("source: churn.csv", "source: sqlite:///churn.db")], "data.query", "a database needs a query"),
        ([("source: churn.csv", "source: churn.csv\n  query: SELECT 1")], "data.query", "fits only a database"),
        ([("source: churn.csv", "source: postgresql://me:secret@host/db\n  query: SELECT 1")], "data.source", "a password stands in the address"),
        ([("source: churn.csv", "source: $1\n  query: SELECT 1")], "data.source", "names no environment variable"),
        ([("source: churn.csv", "source: s3://bucket")], "data.source", "names no bucket and key"),
        ([("  time: month\n", ""), ("  contract:\n", "  contract:\n    max_age_days: 3\n")], "data.contract.max_age_days", "needs `data.time`"),
        ([("type: datetime, min: 2020-01-01", "type: integer"), ("  contract:\n", "  contract:\n    max_age_days: 3\n")], "data.contract.max_age_days", "an age needs a datetime"),
        ([("model:\n", "model:\n  costs: {false_positive: 0, false_negative: 1}\n")], "model.costs.false_positive", "must cost more"),
        ([("task: binary", "task: regression\n  costs: {false_positive: 1, false_negative: 1}\n  imbalance: weights\n  calibrate: sigmoid"), ("metric: roc_auc", "metric: r2")], "model.costs", "fits only a binary task"),
        ([("task: binary", "task: regression\n  imbalance: weights")], "model.imbalance", "fits only a classification"),
        ([("task: binary", "task: multiclass\n  imbalance: threshold")], "model.imbalance", "fits only a binary task"),
        ([("task: binary", "task: regression\n  calibrate: sigmoid")], "model.calibrate", "gives no probabilities"),
        ([("model:\n", "model:\n  partition_by: sax\n")], "model.partition_by", "did you mean 'sex'?"),
        ([("model:\n", "model:\n  partition_by: age\n")], "model.partition_by", "a category is needed"),
        ([("model:\n", "model:\n  partition_by: churned\n")], "model.partition_by", "is the target"),
        ([("acceptance:\n", "acceptance:\n  slices: [{column: sax, metrics: {roc_auc: {min: 0.5}}}]\n")], "acceptance.slices[0].column", "did you mean 'sex'?"),
        ([("acceptance:\n", "acceptance:\n  slices: [{column: sex, metrics: {r2: {min: 0.5}}}]\n")], "acceptance.slices[0].metrics.r2", "does not fit a binary task"),
        ([("acceptance:\n", "acceptance:\n  slices: [{column: sex, metrics: {roc_auc: {max: 0.5}}}]\n")], "acceptance.slices[0].metrics.roc_auc.max", "lets the worst models pass"),
        ([("acceptance:\n", "acceptance:\n  kpi: {min: 2, max: 1}\n")], "acceptance.kpi.max", "no model passes"),
        ([("task: binary", "task: regression"), ("acceptance:\n", "acceptance:\n  calibration: {max_error: 0.1}\n")], "acceptance.calibration", "gives no probabilities"),
        ([("task: binary", "task: multiclass"), ("{max_error_difference: 0.2}", "{min_selection_rate_ratio: 0.8}")], "acceptance.fairness.min_selection_rate_ratio", "needs a positive class"),
        ([("monitoring:\n", "monitoring:\n  notify: [{kind: file}]\n")], "monitoring.notify[0].path", "needs `path`"),
        ([("monitoring:\n", "monitoring:\n  notify: [{kind: file, path: x, host: y}]\n")], "monitoring.notify[0].host", "fits only kind email"),
        ([("monitoring:\n", "tracking: {address: 'postgresql://me:secret@host/db'}\nmonitoring:\n")], "tracking.address", "a password stands in the address"),
    ],
)  # fmt: skip
def test_fields_that_are_wrong_together_are_reported_at_the_field_to_change(
    replacements: list[tuple[str, str]], path: str, message: str
) -> None:
    text = changed(*replacements)
    found = problems(text)
    assert path in found, found
    assert message in found[path].message
    assert found[path].line > 0


def test_a_wrong_value_elsewhere_hides_no_disagreement_and_invents_none() -> None:
    found = problems(changed(("type: integer, min: 0", "type: integr, min: 0"), ("id: customer", "id: custmer")))
    assert set(found) == {"data.contract.columns[5].type", "data.id"}


def test_a_value_that_is_reported_is_not_reported_as_missing_too() -> None:
    assert set(problems(changed(('["f", "m"]', "3")))) == {"data.contract.columns[4].categories"}
    assert set(problems(changed(('positive: "yes"', "positive: 1")))) == {"model.positive"}
    assert set(problems(changed(("target: churned", "target: 5")))) == {"data.target"}


def test_the_models_guard_themselves_without_a_file() -> None:
    with pytest.raises(ValidationError, match="needs the list of values allowed"):
        Column(name="x", type="category")
    with pytest.raises(ValidationError, match="needs `min` or `max`"):
        Threshold()
    usecase = parse_usecase(VALID, file="x").model_dump()
    with pytest.raises(ValidationError, match="is no column of data\\.contract"):
        UseCase.model_validate(usecase | {"data": usecase["data"] | {"target": "nothing"}})


def test_an_unknown_column_is_no_key() -> None:
    with pytest.raises(KeyError):
        parse_usecase(VALID, file="x").data.column("nothing")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the file is empty", ""),
        ("# only a comment\n", "the file is empty", ""),
        ("- a\n- b\n", "the file holds no fields", "apiVersion"),
        ("just text", "the file holds no fields", "apiVersion"),
        ("a: b\n---\nc: d\n", "a second document", "remove the line `---`"),
        ("a: &x 1\nb: *x\n", "the alias *x is not supported", "write the value out"),
        ("a:\n\tb: 1\n", "not valid YAML", "no tab"),
        ("a: b: c\n", "not valid YAML", "needs quotes"),
        ("a: *\n", "not valid YAML", "needs quotes"),
        ("a: @x\n", "not valid YAML", "needs quotes"),
        ('a: "x\n', "not valid YAML", "never closed"),
        ("a: [1, 2\n", "not valid YAML", "never closed"),
        ("a: \x07\n", "not valid YAML", "invisible character"),
        ("a: 1\n b: 2\n", "not valid YAML", "quotes"),
        ("a: {{ x }}\n", "a key must be text", ""),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper than 50", ""),
        ("\ud800: 1", "half of a surrogate pair", ""),
    ],
)
def test_what_is_no_yaml_is_a_problem_with_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsecaseError) as caught:
        parse_usecase(text, file="usecase.yaml")
    problem = caught.value.problems[0]
    assert message in problem.message
    assert hint in problem.hint


def test_a_field_given_twice_is_a_problem_in_its_second_line() -> None:
    text = VALID + "name: other\n"
    problem = only_problem(text)
    assert problem.path == "name"
    assert problem.line == text.count("\n")
    assert "first in line 2" in problem.message


def test_tags_and_merge_keys_are_refused_and_nothing_is_constructed() -> None:
    found = problems(changed(("name: churn", "name: !!python/object/apply:os.system [exit]")))
    assert "tag:yaml.org,2002:python/object/apply:os.system" not in {p.path for p in found.values()}
    assert "name" in found
    assert "merge keys" in only_problem(VALID + "<<: {name: x}\n").message
    assert "the tag !x is not supported" in problems(changed(("name: churn", "name: !x churn")))["name"].message


def test_a_bomb_of_aliases_expands_to_nothing() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
    )
    start = time.perf_counter()
    assert "alias" in problems(bomb)[next(iter(problems(bomb)))].message
    assert time.perf_counter() - start < 2


def test_a_file_that_cannot_be_read_is_reported_with_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(UsecaseError, match="cannot be read") as caught:
        load_usecase(tmp_path / "none.yaml")
    assert "ai-factory profile" in caught.value.hint
    with pytest.raises(UsecaseError, match="cannot be read"):
        load_usecase(tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (VALID.encode("utf-16"), "encoded as UTF-16"),
        (VALID.replace("name: churn", "name: café").encode("latin-1"), "byte 0xe9 is not UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "usecase.yaml").write_bytes(raw)
    with pytest.raises(UsecaseError, match=message):
        load_usecase(tmp_path / "usecase.yaml")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "usecase.yaml").write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load_usecase(tmp_path / "usecase.yaml") == parse_usecase(VALID, file="x")


def test_ten_thousand_columns_load_in_seconds_and_their_problems_too() -> None:
    columns = "".join(f"      - {{name: c{i}, type: number, min: 0, max: {i + 1}}}\n" for i in range(10_000))
    text = changed(("      - {name: row", columns + "      - {name: row"))
    start = time.perf_counter()
    usecase = parse_usecase(text, file="wide")
    assert len(usecase.data.features) == 10_002
    assert usecase.data.column("c9999").max == 10_000
    found = problems(text.replace("type: number", "typ: number").replace("target: churned", "target: chuned"))
    assert len(found) == 20_001
    assert time.perf_counter() - start < 20  # about two seconds on an idle machine


def test_the_message_lists_a_hundred_problems_and_counts_the_rest() -> None:
    with pytest.raises(UsecaseError) as caught:
        parse_usecase(changed(("ignore: [row]", f"ignore: [{', '.join(f'z{i}' for i in range(150))}]")), file="x")
    assert len(caught.value.problems) == 150
    assert len(str(caught.value).splitlines()) == SHOWN_PROBLEMS + 2
    assert "… and 50 more" in str(caught.value)


# Whatever the bytes ------------------------------------------------------------------------------------------------------

_LINES = VALID.splitlines(keepends=True)
_TOKENS = ["{", "}", "[", "]", ":", "- ", "'", '"', "#", "\t", "&a", "*a", "!", "~", "no", "1e5", "\x00", "é", "{{ x }}", "\n", "? ", "|", ">", "%", "@", "---\n", "0" * 30, "2024-02-31", "1:99:99", "<<: "]  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The valid file with some lines dropped, doubled, swapped or cut, and some tokens put anywhere."""
    lines = list(_LINES)
    for _ in range(draw(st.integers(0, 4))):
        i = draw(st.integers(0, len(lines) - 1))
        lines[i : i + 1] = draw(st.sampled_from([[], [lines[i], lines[i]], [lines[i][::-1]], [" " + lines[i]]])) or [""]
    text = "".join(lines)
    for _ in range(draw(st.integers(0, 4))):
        i = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 8))
        text = text[:i] + draw(st.sampled_from(_TOKENS) | st.text(max_size=3)) + text[i + cut :]
    return text


def _use_case_or_problems(text: str) -> None:
    try:
        usecase = parse_usecase(text, file="usecase.yaml")
    except UsecaseError as error:
        found = error.problems
    else:
        assert usecase.data.features
        return
    assert found
    assert all(p.line <= len(text.splitlines()) + 1 for p in found)


@settings(max_examples=400)
@given(mutations())
def test_no_change_to_a_valid_file_gives_a_traceback(text: str) -> None:
    _use_case_or_problems(text)


@settings(max_examples=100)
@given(mutations() | st.text())
def test_no_text_gives_a_traceback_where_yaml_has_no_c_parser(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_LOADER", yaml.SafeLoader)
        _use_case_or_problems(text)


@settings(max_examples=200)
@given(st.text() | st.text(alphabet=string.printable))
def test_no_text_gives_a_traceback(text: str) -> None:
    _use_case_or_problems(text)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(UseCase.model_fields)) | st.text(), inner, max_size=4),
        max_leaves=12,
    )
)  # fmt: skip
def test_no_value_in_any_field_gives_a_traceback(value: object) -> None:
    _use_case_or_problems(yaml.safe_dump(value, allow_unicode=True))


_FIELDS = ["data", "data.contract", "data.contract.columns", "data.pii", "model", "acceptance", "acceptance.metrics", "monitoring.retraining", "cloud.accounts", "deployment.stages", "business.kpi"]  # fmt: skip


@settings(max_examples=200)
@given(
    st.sampled_from(_FIELDS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["min", "max", "roc_auc", "name", "type", "columns", "column", "task"]), inner
            )
        ),
        max_leaves=6,
    ),
)
def test_no_value_of_a_section_gives_a_traceback(path: str, value: object) -> None:
    document = yaml.safe_load(VALID)
    *parents, last = path.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    _use_case_or_problems(yaml.safe_dump(document, allow_unicode=True))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_give_a_traceback(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(raw)
    with pytest.raises(UsecaseError):
        load_usecase(path)
