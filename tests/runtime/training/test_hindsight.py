"""Features that are known only afterwards are found: each kind is built into rows, stops a run, and is named; honest ones are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import LeakageFound
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.training.hindsight import features_from_the_future
from ai_factory_runtime.training.leakage import find_leaks
from ai_factory_runtime.training.split import split
from ai_factory_runtime.training.telling import ALMOST_PERFECT, answers_of, tells
from ai_factory_spec.usecase import UseCase
from helpers_runtime import make_project, quick, usecase_document

ROWS = 600
RANDOM = np.random.default_rng(3)


def events(count: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A day's row each; whether it ends badly depends on `load` and luck."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"load": random.normal(size=count), "kind": random.choice(["x", "y"], count)})
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count), unit="D")
    frame["outcome"] = np.where(frame["load"] + random.normal(size=count) > 1, "yes", "no")
    return frame


def leaks_of(frame: pd.DataFrame, task: str = "binary", **data: Any) -> dict[str, tuple[str, str]]:
    document = usecase_document(frame, task)
    document["data"] |= data
    usecase = UseCase.model_validate(document)
    table = to_canonical(frame, usecase.data.contract.columns)
    return {leak.column: (leak.kind, leak.detail) for leak in find_leaks(table, usecase, split(table, usecase))}


def written_afterwards(frame: pd.DataFrame, share: float = 0.6) -> np.ndarray:
    """A reason that somebody wrote down for most of the rows that ended badly."""
    noted = (frame["outcome"] == "yes") & (np.random.default_rng(1).random(len(frame)) < share)
    return np.where(noted, np.random.default_rng(2).choice(["late", "price"], len(frame)), None)


def test_a_reason_written_down_only_where_it_ended_badly_is_hindsight() -> None:
    frame = events()
    kind, detail = leaks_of(frame.assign(reason=written_afterwards(frame)))["reason"]
    assert kind == "hindsight"
    assert "filled in only where 'outcome' is 'yes'" in detail


def test_values_missing_at_random_or_few_are_no_hindsight() -> None:
    frame = events()
    sparse = np.where(np.random.default_rng(4).random(ROWS) < 0.3, frame["load"], np.nan)
    few = written_afterwards(frame, share=0.1)
    assert pd.notna(few).sum() < 30
    assert leaks_of(frame.assign(load=sparse, few=few)) == {}


def test_a_feature_that_the_newest_rows_still_lack_is_known_too_late() -> None:
    frame = events()
    late = frame["load"] * 0.3 + RANDOM.normal(size=ROWS)
    late[frame.index[-25:]] = np.nan  # arrives four weeks after the row
    assert leaks_of(frame.assign(late=late)) == {}  # nothing says which rows are the newest
    kind, detail = leaks_of(frame.assign(late=late), time="day")["late"]
    assert kind == "not-yet-known"
    assert "missing in 100% of the 20 newest rows and in 1% of the older ones" in detail


def test_a_feature_that_always_misses_many_values_is_not_late() -> None:
    frame = events()
    sparse = np.where(np.random.default_rng(5).random(ROWS) < 0.6, np.nan, frame["load"])
    assert leaks_of(frame.assign(sparse=sparse), time="day") == {}


def test_the_next_rows_target_among_the_features_is_the_future() -> None:
    frame = events()
    tomorrow = frame["outcome"].shift(-1).map({"yes": 1.0, "no": 0.0})
    yesterday = frame["outcome"].shift(1).map({"yes": 1.0, "no": 0.0})
    assert leaks_of(frame.assign(tomorrow=tomorrow, yesterday=yesterday)) == {}  # without a time there is no next row
    shuffled = frame.assign(tomorrow=tomorrow, yesterday=yesterday).sample(frac=1.0, random_state=0)
    found = leaks_of(shuffled, time="day")
    assert {name: kind for name, (kind, _) in found.items()} == {"tomorrow": "future"}
    assert "of the next row" in found["tomorrow"][1]


def test_the_future_is_looked_for_within_each_entity() -> None:
    frame = pd.concat([events(seed=s).assign(shop=f"s{s}") for s in range(3)], ignore_index=True)
    tomorrow = frame.groupby("shop")["outcome"].shift(-1).map({"yes": 1.0, "no": 0.0})
    assert set(leaks_of(frame.assign(tomorrow=tomorrow), time="day", id="shop")) == {"tomorrow"}


def test_a_number_from_the_future_is_found_too() -> None:
    frame = events()
    frame["outcome"] = frame["load"] * 5 + RANDOM.normal(size=ROWS)
    leading = frame["outcome"].shift(-1).fillna(0.0) * 2 + 1
    lagging = frame["outcome"].shift(1).fillna(0.0)
    found = leaks_of(frame.assign(leading=leading, lagging=lagging), "regression", time="day")
    assert {name: kind for name, (kind, _) in found.items()} == {"leading": "future"}


def test_a_target_that_hardly_changes_makes_no_feature_the_future() -> None:
    frame = events(20_000)
    frame["outcome"] = np.where((np.arange(20_000) // 5_000) % 2 == 1, "yes", "no")  # today's value tells tomorrow's
    frame["same"] = np.where(frame["outcome"] == "yes", 1.0, 0.0)
    document = usecase_document(frame, "binary")
    usecase = UseCase.model_validate({**document, "data": {**document["data"], "time": "day"}})
    table = to_canonical(frame, usecase.data.contract.columns)
    features = [c for c in usecase.data.features if c.name == "same"]
    order = RANDOM.permutation(19_999)
    following = answers_of(table["outcome"].iloc[1:].iloc[order], usecase)
    assert tells(table["same"].iloc[:-1].iloc[order], following, usecase) >= ALMOST_PERFECT
    assert features_from_the_future(table, features, usecase) == []


@pytest.mark.parametrize("name", ["reason", "tomorrow"])
def test_a_run_on_rows_with_hindsight_stops_and_registers_nothing(tmp_path: Path, name: str) -> None:
    frame = events()
    leaking = {
        "reason": written_afterwards(frame),
        "tomorrow": frame["outcome"].shift(-1).map({"yes": 1.0, "no": 0.0}).fillna(0.0),
    }
    document = usecase_document(frame.assign(**{name: leaking[name]}), "binary")
    project = make_project(
        tmp_path / "p", frame.assign(**{name: leaking[name]}), "binary", candidates=quick,
        data={**document["data"], "time": "day"},
    )  # fmt: skip
    with pytest.raises(LeakageFound, match=f"'{name}'") as raised:
        run(project)
    assert "data.ignore" in raised.value.hint
    assert open_registry(project).versions() == ()
