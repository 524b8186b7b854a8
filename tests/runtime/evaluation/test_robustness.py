"""Each kind of damage is really done, and a model that it breaks is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.behaviour_gates import robustness
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.robustness import KINDS, UNSEEN, Damage, damages
from ai_factory_runtime.training.selection import signature_of
from ai_factory_spec.usecase import UseCase
from helpers_evaluation import SIGNATURE, answers, blind, judged, people, skilled
from helpers_runtime import usecase_document


def damages_of(frame: pd.DataFrame, answer: Any) -> tuple[Damage, ...]:
    rows = to_canonical(frame, SIGNATURE.features)
    return damages("roc_auc", answer, rows, judged(frame, answer(rows)), judged(frame, blind(frame)), seed=0)


def test_a_model_that_leans_on_one_feature_is_refused() -> None:
    found = damages_of(people(), skilled)
    result = robustness(found, max_drop=0.5)
    assert not result.passed
    assert "'x' missing 100.0% [" in result.sentence
    assert result.value == pytest.approx(1.0, abs=0.01)
    assert {d.loss for d in found if d.feature != "x"} == {0.0}


def test_a_model_that_raises_on_a_damaged_row_is_refused() -> None:
    def brittle(frame: pd.DataFrame) -> Prediction:
        if frame["age"].isna().any():
            raise ValueError("no age, no answer")
        return answers(np.clip((frame["x"].fillna(0).to_numpy() + 3) / 6, 0, 1))

    result = robustness(damages_of(people(), brittle), max_drop=1.0)
    assert not result.passed
    assert "it raised ValueError: no age, no answer" in result.sentence


def test_the_worst_damage_of_each_kind_has_an_interval_around_it() -> None:
    found = damages_of(people(), skilled)
    for kind in KINDS:
        of_kind = [d for d in found if d.kind == kind]
        with_interval = [d for d in of_kind if d.interval is not None]
        assert with_interval == [max(of_kind, key=lambda d: d.loss)], kind
        (worst,) = with_interval
        assert worst.interval is not None
        assert worst.interval.value == pytest.approx(worst.loss)
        assert worst.interval.low <= worst.loss <= worst.interval.high


def test_each_type_of_column_meets_the_damages_that_fit_it() -> None:
    frame = people().assign(member=lambda f: f["x"] > 0)
    usecase = UseCase.model_validate(usecase_document(frame, "binary"))
    signature = signature_of(usecase)
    rows = to_canonical(frame, signature.features)
    seen: dict[tuple[str, str], pd.DataFrame] = {}
    before = rows.copy()

    def answer(given: pd.DataFrame) -> Prediction:
        for name in given.columns:
            if not given[name].equals(before[name]):
                seen[name, str(len([k for k in seen if k[0] == name]))] = given[[name]].copy()
        return skilled(given)

    truth = judged(frame, skilled(frame)).truth
    model, dummy = (Judged(truth, prediction, signature) for prediction in (skilled(frame), blind(frame)))
    found = damages("roc_auc", answer, rows, model, dummy, seed=0)
    assert {(d.feature, d.kind) for d in found} == {
        ("x", "missing"), ("x", "noise"), ("x", "out of range"),
        ("age", "missing"), ("age", "noise"), ("age", "out of range"),
        ("group", "missing"), ("group", "unseen category"), ("group", "category shift"),
        ("member", "missing"), ("member", "category shift"),
    }  # fmt: skip
    given = {f"{name} {i}": table[name] for (name, i), table in seen.items()}
    assert given["age 0"].isna().all()
    noise = given["age 1"] - before["age"]
    assert noise.std() == pytest.approx(0.1 * before["age"].std(), rel=0.15)
    outside = (given["age 2"] < before["age"].min()) | (given["age 2"] > before["age"].max())
    assert 0.05 < outside.mean() < 0.15
    assert (given["age 2"][~outside] == before["age"][~outside]).all()
    assert set(given["group 1"]) == {UNSEEN}
    shifted = given["group 2"] != before["group"]
    assert 0.13 < shifted.mean() < 0.27
    assert set(given["group 2"]) <= set(before["group"])
    assert 0.13 < (given["member 1"] != before["member"]).mean() < 0.27


def test_a_model_that_a_wild_value_throws_off_is_refused_for_it() -> None:
    def linear(frame: pd.DataFrame) -> Prediction:
        """Right as long as age, which tells nothing, stays where it was in training."""
        wild = np.abs(frame["age"].fillna(50).to_numpy() - 54) > 40
        return answers(np.where(wild, np.random.default_rng(1).random(len(frame)), skilled(frame).probabilities[:, 1]))  # type: ignore[index]

    found = damages_of(people(2000), linear)
    over = {(d.feature, d.kind) for d in found if d.loss > 0.05 and d.feature == "age"}
    assert over == {("age", "out of range")}
    result = robustness([d for d in found if d.feature == "age"], max_drop=0.05)
    assert not result.passed
    assert "'age' out of range" in result.sentence


def test_a_model_that_leans_on_a_category_is_refused_when_its_mix_shifts() -> None:
    frame = people(2000)
    telling = np.where(frame["outcome"] == "yes", "a", "b")
    frame["group"] = np.where(np.random.default_rng(2).random(2000) < 0.9, telling, "c")

    def by_group(rows: pd.DataFrame) -> Prediction:
        return answers(rows["group"].map({"a": 0.9, "b": 0.1}).fillna(0.5).to_numpy(dtype=float))

    found = damages_of(frame, by_group)
    result = robustness([d for d in found if d.kind == "category shift"], max_drop=0.1)
    assert not result.passed
    assert "'group' category shift" in result.sentence


def test_a_model_without_gain_passes_no_robustness_gate() -> None:
    assert not robustness(damages_of(people(), blind), max_drop=1.0).passed
    assert not robustness((), max_drop=1.0).passed


def test_a_sturdy_model_passes_and_the_worst_damage_is_told() -> None:
    result = robustness([Damage("x", "missing", 0.1), Damage("y", "noise", 0.05)], max_drop=0.2)
    assert result.passed
    assert "at most 10.0% of the gain over the baseline is lost ('x' missing), allowed is 20%" in result.sentence
