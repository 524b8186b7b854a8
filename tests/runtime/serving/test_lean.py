"""The lean reader takes what is plain, gives the rows that the careful rules give, and leaves everything else to them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.rows import Layout, rows_of
from ai_factory_runtime.serving.lean import LeanReader
from ai_factory_runtime.serving.refused import RequestRefused
from ai_factory_runtime.serving.requests import MAX_REASONS, RequestSchema
from ai_factory_spec.usecase import Column
from hypothesis import given, settings
from hypothesis import strategies as st

FEATURES = (
    Column(name="age", type="integer", min=0, max=120),
    Column(name="plan", type="category", categories=("1", "2", "gold")),
    Column(name="spend", type="number", nullable=True, min=0),
    Column(name="called", type="boolean", nullable=True),
    Column(name="kind", type="category", categories=("a", "b"), nullable=True),
)
SCHEMA = RequestSchema(FEATURES, ignored=frozenset({"customer", "churned"}), id="customer")
LEAN = LeanReader(Layout(FEATURES), frozenset(c.name for c in FEATURES) | SCHEMA.ignored, "customer", 10_000)
GOOD: dict[str, Any] = {"age": 41, "plan": "gold", "spend": 12.5, "called": True, "kind": None}

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 121),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["1", "gold", "a", "", " a", "true", 10**400, 2**70, [], {}, [1], "41"]),
)
rows = st.dictionaries(st.sampled_from([*GOOD, "customer", "strange"]), values, max_size=6)


@settings(max_examples=60)
@given(st.lists(st.one_of(rows, rows.map(lambda r: GOOD | r), st.just(GOOD)), max_size=4), st.booleans())
def test_what_is_taken_is_what_the_careful_rules_give(records: list[dict[str, Any]], split: bool) -> None:
    if split:
        names = list(dict.fromkeys(name for r in records for name in r))
        document: dict[str, Any] = {"columns": names, "data": [[r.get(n) for n in names] for r in records]}
    else:
        document = {"records": records}
    body = json.dumps(document).encode()
    taken = LEAN.read(json.loads(body))
    try:
        careful = SCHEMA.read_json(body)
    except RequestRefused:
        assert taken is None
        with pytest.raises(RequestRefused):
            SCHEMA.read(body)
        return
    pd.testing.assert_frame_equal(SCHEMA.read(body).rows.frame(), careful)
    if taken is not None:
        pd.testing.assert_frame_equal(taken.frame(), careful)


@pytest.mark.parametrize("form", ["records", "split", "split, in another order"])
def test_a_plain_request_is_taken(form: str) -> None:
    names = list(GOOD)[::-1] if "order" in form else list(GOOD)
    plain = (
        {"records": [GOOD, GOOD]} if form == "records" else {"columns": names, "data": [[GOOD[n] for n in names]] * 2}
    )
    taken = LEAN.read(plain)
    assert taken is not None
    assert len(taken) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"age": True}, {"age": "41"}, {"age": 41.5}, {"age": -1}, {"age": 121}, {"age": None}, {"age": 10**400}, {"spend": float("inf")},
        {"spend": -0.1}, {"plan": 1}, {"plan": None}, {"plan": "silver"}, {"plan": []}, {"called": 1}, {"called": "yes"}, {"strange": 1},
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_careful_rules(change: dict[str, Any]) -> None:
    assert LEAN.read({"records": [GOOD, GOOD | change]}) is None


def test_ids_that_come_along_are_kept_beside_the_rows() -> None:
    for document in (
        {"records": [GOOD | {"customer": "c1"}, GOOD]},
        {"columns": [*GOOD, "customer"], "data": [[*GOOD.values(), "c1"], [*GOOD.values(), None]]},
        {"records": [GOOD | {"customer": "c1", "plan": 1}, GOOD]},
    ):
        assert SCHEMA.read(json.dumps(document).encode()).rows.ids == ["c1", None]
    csv = b"age,plan,spend,called,kind,customer\n41,gold,,true,,c1\n"
    assert SCHEMA.read(csv, text=True).rows.ids == ["c1"]


def test_the_rows_of_a_table_and_the_table_of_rows_are_the_same() -> None:
    frame = SCHEMA.read_records([GOOD, {"age": 3, "plan": "1"}, GOOD | {"kind": "b", "called": False}])
    given = rows_of(frame, SCHEMA.layout)
    pd.testing.assert_frame_equal(given.frame(), frame)
    assert given.plain() == [
        [41.0, "gold", 12.5, True, None],
        [3.0, "1", None, None, None],
        [41.0, "gold", 12.5, False, "b"],
    ]
    pd.testing.assert_frame_equal(given.take([2, 0]).frame(), frame.iloc[[2, 0]].reset_index(drop=True))
    assert given.take(np.array([], dtype=np.intp)).plain() == []


@pytest.mark.parametrize("asked", [-1, 1.5, "3", True, MAX_REASONS + 1, None])
def test_reasons_are_asked_for_by_a_number_of_columns(asked: object) -> None:
    with pytest.raises(RequestRefused, match="`reasons`") as refused:
        SCHEMA.read(json.dumps({"records": [GOOD], "reasons": asked}).encode())
    assert refused.value.status == 400
    assert SCHEMA.read(json.dumps({"records": [GOOD], "reasons": 3}).encode()).reasons == 3
