"""Requests: a body becomes the rows that training would have read, or is refused with every reason at once."""

# ruff: noqa: PT017 - a property holds for what is refused and for what is not

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.serving.refused import MAX_PROBLEMS, RequestRefused
from ai_factory_runtime.serving.requests import MAX_ROWS, RequestSchema
from ai_factory_spec.usecase import Column
from hypothesis import given
from hypothesis import strategies as st

FEATURES = (
    Column(name="age", type="integer", min=0, max=120),
    Column(name="spend", type="number", nullable=True, min=0),
    Column(name="plan", type="category", categories=("1", "2", "gold")),
    Column(name="called", type="boolean", nullable=True),
)
SCHEMA = RequestSchema(FEATURES, ignored=frozenset({"customer", "churned"}))
GOOD: dict[str, Any] = {"age": 41, "spend": 12.5, "plan": "gold", "called": True}


def refusal(body: object, *, schema: RequestSchema = SCHEMA) -> RequestRefused:
    """How a JSON body (or bytes) is refused."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestRefused) as refused:
        schema.read_json(raw)
    return refused.value


def refused_record(**changes: object) -> RequestRefused:
    return refusal({"records": [GOOD | changes]})


def test_records_split_and_csv_give_the_rows_that_training_reads() -> None:
    records = [GOOD, {"age": 0, "spend": None, "plan": "1", "called": False}, {"age": 120.0, "plan": "2"}]
    expected = to_canonical(
        pd.DataFrame(
            {
                "age": ["41", "0", "120"],
                "spend": ["12.5", "", ""],
                "plan": ["gold", "1", "2"],
                "called": ["true", "false", ""],
            }
        ),
        FEATURES,
    )
    split = {"columns": ["plan", "age", "called", "spend"], "data": [["gold", 41, True, 12.5], ["1", 0, False, None], ["2", 120, None, None]]}  # fmt: skip
    text = b"plan,age,called,spend\r\ngold,41,true,12.5\r\n1,0,false,\r\n2,120,,\r\n"
    for frame in (
        SCHEMA.read_json(json.dumps({"records": records}).encode()),
        SCHEMA.read_json(json.dumps(split).encode()),
        SCHEMA.read_csv(text),
    ):
        pd.testing.assert_frame_equal(frame, expected)


@pytest.mark.parametrize("value", [1, 1.0, "1", " 1 "])
def test_a_category_may_be_sent_as_the_number_it_looks_like(value: object) -> None:
    frame = SCHEMA.read_records([GOOD | {"plan": value}])
    assert frame["plan"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("age", "41", "is not a whole number"),
        ("age", True, "is not a whole number"),
        ("age", 41.5, "is not a whole number"),
        ("age", -1, "is less than 0"),
        ("age", 121, "is more than 120"),
        ("age", None, "has no value"),
        ("age", [41], "is not a whole number"),
        ("age", {"years": 41}, "is not a whole number"),
        ("age", 10**400, "is not a whole number"),
        ("spend", "much", "is not a finite number"),
        ("spend", -0.01, "is less than 0"),
        ("plan", "silver", "is none of the categories"),
        ("plan", "", "has no value"),
        ("plan", None, "has no value"),
        ("plan", ["1"], "is none of the categories"),
        ("plan", True, "is none of the categories"),
        ("called", "perhaps", "is not a boolean"),
        ("called", 2, "is not a boolean"),
        ("called", {}, "is not a boolean"),
    ],
)
def test_a_bad_value_is_refused_with_row_column_and_reason(column: str, value: object, reason: str) -> None:
    refused = refusal({"records": [GOOD, GOOD | {column: value}]})
    assert refused.status == 422
    assert [(p.row, p.column, p.reason) for p in refused.problems] == [(1, column, reason)]
    assert refused.problems[0].allowed


def test_all_problems_are_told_at_once() -> None:
    refused = refusal({"records": [{"age": 500, "plan": "silver"}, {"spend": -1}]})
    assert [(p.row, p.column) for p in refused.problems] == [
        (0, "age"),
        (0, "plan"),
        (1, "age"),
        (1, "spend"),
        (1, "plan"),
    ]
    assert refused.body()["total"] == 5


def test_many_problems_are_counted_and_the_first_kept() -> None:
    refused = refusal({"records": [{"age": -1, "plan": "x"}] * 500})
    assert refused.total == 1000
    assert len(refused.problems) == MAX_PROBLEMS


def test_a_column_that_is_no_feature_is_refused_with_the_nearest_name() -> None:
    refused = refused_record(Spent=1)
    assert [(p.column, p.reason) for p in refused.problems] == [
        ("Spent", "is no column of this model; did you mean 'spend'?")
    ]


def test_columns_of_the_contract_that_are_no_features_are_ignored() -> None:
    frame = SCHEMA.read_records([GOOD | {"customer": "c1", "churned": "yes"}])
    assert list(frame.columns) == ["age", "spend", "plan", "called"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"records"',
        b'{"records": null}',
        b'{"records": {}}',
        b'{"records": []}',
        b'{"records": [], "more": 1}',
        b'{"columns": ["age"]}',
        b'{"columns": ["age"], "data": []}',
        b'{"columns": "age", "data": [[1]]}',
        b'{"columns": [1], "data": [[1]]}',
        b'{"columns": ["age"], "data": [1]}',
        b'{"columns": ["age"], "data": [[1, 2]]}',
        b'{"columns": ["age", "age"], "data": [[1, 2]]}',
        b'{"records": [{"age": NaN}]}',
        b'{"records": [{"age": Infinity}]}',
        b'{"records": [{"age": "\\ud800"}]}',
        b"\xff\xfe{\x00}\x00",
        b'{"records": ' + b"[" * 100_000,
        b'{"records": ' + b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    assert refusal(body).status == 400


def test_rows_that_are_no_objects_are_refused() -> None:
    refused = refusal({"records": [GOOD, 1, None, [GOOD]]})
    assert refused.status == 422
    assert [(p.row, p.reason) for p in refused.problems] == [(n, "is not an object") for n in (1, 2, 3)]


def test_a_number_too_large_for_a_float_is_refused() -> None:
    assert refusal(b'{"records": [{"age": 1, "plan": "1", "spend": 1e999}]}').status == 422


def test_too_many_rows_are_refused() -> None:
    assert refusal({"records": [{}] * (MAX_ROWS + 1)}).status == 413


def test_a_flood_of_unknown_names_is_refused_quickly() -> None:
    flood = {f"name {i}": i for i in range(20_000)}
    assert refusal({"records": [GOOD | flood]}).total == 20_000


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"\n\n", 400),
        (b"age,plan\n", 400),
        (b"age,plan\n1\n", 400),
        (b"age,plan\n1,2,3\n", 400),
        (b"age,age\n1,2\n", 400),
        (b'age,plan\n"1,2\n', 400),
        (b"age,plan\n\xff,2\n", 400),
        (b"41,gold\n42,gold\n", 422),
        (b"age,plan\nold,gold\n", 422),
        (b"age,plan\nnan,gold\n", 422),
        (b"age,plan\ninf,gold\n", 422),
        (b"age,plan,extra\n1,gold,1\n", 422),
    ],
)
def test_csv_that_is_no_request_is_refused(text: bytes, status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        SCHEMA.read_csv(text)
    assert refused.value.status == status


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["class", "_private", "__proto__", "{{ x }}", "model_config", "a,b", 'a"b', "a\nb", "self", "$ref", "records"]
)


@given(st.lists(names, min_size=1, max_size=5, unique=True))
def test_any_column_name_works(column_names: list[str]) -> None:
    features = tuple(Column(name=n, type="number") for n in column_names)
    schema = RequestSchema(features)
    record = {n: float(i) for i, n in enumerate(column_names)}
    frame = schema.read_json(json.dumps({"records": [record]}).encode())
    assert frame.iloc[0].to_dict() == record
    assert set(schema.row_schema["properties"]) == set(column_names)
    refused = refusal({"records": [dict.fromkeys(column_names, "text")]}, schema=schema)
    assert [p.column for p in refused.problems] == column_names


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["1", "gold", "true", "NA", "nan", 0, 1, 120, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={c.name: json_values for c in FEATURES}))
def test_a_record_is_refused_or_gives_a_row_that_satisfies_the_contract(record: dict[str, Any]) -> None:
    try:
        frame = SCHEMA.read_records([record])
    except RequestRefused as refused:
        assert refused.status == 422
        assert refused.problems
        json.dumps(refused.body(), allow_nan=False)
        return
    assert not screen(frame, FEATURES).bad.any()
    pd.testing.assert_frame_equal(frame, to_canonical(frame, FEATURES))


@given(json_values)
def test_no_json_raises_anything_but_a_refusal(document: Any) -> None:
    for body in (document, {"records": document}, {"records": [document]}, {"columns": document, "data": document}):
        try:
            SCHEMA.read_json(json.dumps(body).encode())
        except RequestRefused as refused:
            assert refused.status in (400, 422)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    for read in (SCHEMA.read_json, SCHEMA.read_csv):
        for raw in (body, b"age,plan\n" + body):
            try:
                read(raw)
            except RequestRefused as refused:
                assert refused.status in (400, 422)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "age": st.one_of(st.none(), st.integers(-5, 130), st.floats(-5, 130).map(lambda x: round(x, 1))),
                "spend": st.one_of(st.none(), st.floats(-1, 1e6)),
                "plan": st.sampled_from([None, "1", "2", "gold", "silver"]),
                "called": st.sampled_from([None, True, False]),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_endpoint_and_a_batch_refuse_the_same_values(records: list[dict[str, Any]]) -> None:
    """pydantic checks a request, numpy a batch: they may not disagree."""
    screened = screen(pd.DataFrame(records, columns=[c.name for c in FEATURES], dtype=object), FEATURES)
    batch = sorted((p.row, p.column, p.reason) for p in screened.problems())
    try:
        frame = SCHEMA.read_records(records)
    except RequestRefused as refused:
        assert sorted((p.row, p.column, p.reason) for p in refused.problems) == batch
    else:
        assert not batch
        pd.testing.assert_frame_equal(frame, screened.frame)


def test_the_schema_of_a_row_says_what_the_contract_says() -> None:
    schema = SCHEMA.row_schema
    assert schema["required"] == ["age", "plan"]
    assert schema["properties"]["plan"]["enum"] == ["1", "2", "gold"]
    assert (schema["properties"]["age"]["minimum"], schema["properties"]["age"]["maximum"]) == (0, 120)
    assert schema["properties"]["spend"]["description"] == "a number, at least 0, or no value"


def test_a_thousand_rows_are_read_in_few_milliseconds_each() -> None:
    """A bound far above what it takes (about 10 ms), so that only a change of complexity fails it."""
    import time

    body = json.dumps({"records": [GOOD] * 1000}).encode()
    start = time.perf_counter()
    frame = SCHEMA.read_json(body)
    assert time.perf_counter() - start < 1.0
    assert len(frame) == 1000
    assert math.isclose(np.asarray(frame["spend"]).sum(), 12_500)
