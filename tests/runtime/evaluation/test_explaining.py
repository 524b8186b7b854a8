"""What a model rests on is found, with its share; a model that rests on one feature is refused where that is not wanted."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.behaviour_gates import explainability
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.explaining import Explained, explain, shap_values
from ai_factory_runtime.training.selection import signature_of
from ai_factory_spec.usecase import UseCase
from helpers_evaluation import SIGNATURE, answers, blind, judged, people, skilled
from helpers_runtime import usecase_document


def explained(frame: pd.DataFrame, answer) -> Explained:  # type: ignore[no-untyped-def]
    rows = to_canonical(frame, SIGNATURE.features)
    return explain("roc_auc", answer, rows, judged(frame, answer(rows)), seed=0)


def by_two(rows: pd.DataFrame) -> Prediction:
    """A model that looks at x and, half as much, at the group."""
    x = rows["x"].fillna(0).to_numpy(dtype=float)
    return answers(1 / (1 + np.exp(-(x + np.where(rows["group"] == "a", 0.8, -0.8)))))


def two_fold(rows: int = 1500) -> pd.DataFrame:
    frame = people(rows)
    noise = np.random.default_rng(5).normal(size=rows)
    frame["outcome"] = np.where(frame["x"] + np.where(frame["group"] == "a", 0.8, -0.8) + noise > 0, "yes", "no")
    return frame


def test_shuffling_the_feature_that_matters_costs_most() -> None:
    found = explained(people(), skilled)
    first = found.features[0]
    assert first.feature == "x"
    assert first.loss > 0.2
    assert first.low <= first.loss <= first.high
    assert [i.loss for i in found.features[1:]] == [0.0, 0.0]
    assert (first.share, found.largest_share.value) == (1.0, 1.0)


def test_shares_are_of_all_positive_losses() -> None:
    found = explained(two_fold(), by_two)
    assert [i.feature for i in found.features] == ["x", "group", "age"]
    assert sum(i.share for i in found.features) == pytest.approx(1.0)
    assert found.largest_share.value == pytest.approx(found.features[0].share)
    assert found.largest_share.low < found.largest_share.value < found.largest_share.high < 1


def test_a_model_that_rests_on_one_feature_is_refused_and_one_that_rests_on_two_is_not() -> None:
    refused = explainability(explained(people(), skilled), max_share=0.9)
    assert not refused.passed
    assert "'x' carries 100.0% of the permutation importance" in refused.sentence
    assert "at most 90% is allowed" in refused.sentence
    assert explainability(explained(two_fold(), by_two), max_share=0.9).passed


def test_a_model_that_rests_on_nothing_does_not_pass() -> None:
    result = explainability(explained(people(), blind), max_share=1.0)
    assert not result.passed
    assert "no feature matters" in result.sentence


def test_the_seed_decides() -> None:
    assert repr(explained(two_fold(), by_two)) == repr(explained(two_fold(), by_two))


def test_a_wide_table_is_looked_at_where_it_tells_most() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(80, 150)), columns=[f"c{i}" for i in range(150)])
    frame["outcome"] = np.where(frame["c140"] > 0, "yes", "no")
    usecase = UseCase.model_validate(usecase_document(frame, "binary"))
    signature = signature_of(usecase)

    def answer(rows: pd.DataFrame) -> Prediction:
        return answers((rows["c140"].to_numpy() > 0) * 0.8 + 0.1)

    rows = to_canonical(frame, signature.features)
    whole = Judged(frame["outcome"].to_numpy(dtype=object), answer(rows), signature)
    found = explain("roc_auc", answer, rows, whole, seed=0)
    assert len(found.features) == 100
    assert found.features[0].feature == "c140"


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # shap and what it imports warn of their own futures
def test_shap_values_rank_features_as_the_model_uses_them() -> None:
    frame = two_fold(300)
    frame.loc[:20, ["group", "x"]] = None
    rows = to_canonical(frame, SIGNATURE.features)
    found = shap_values(by_two, rows, SIGNATURE, seed=0)
    assert sorted(found) == ["age", "group", "x"]
    assert found["x"] > found["group"] > 0.05
    assert found["age"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("shap") is not None, reason="the extra `shap` is installed")
def test_without_the_extra_there_are_no_shap_values() -> None:
    rows = to_canonical(people(), SIGNATURE.features)
    assert shap_values(by_two, rows, SIGNATURE, seed=0) == {}
    assert np.isnan(explained(people(), skilled).features[0].shap)
