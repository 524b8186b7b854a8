"""Rare classes are never met in silence: what is done about them is chosen by rule, takes effect, and is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import predict
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.training.imbalance import class_weights, handle
from ai_factory_runtime.training.selection import Trained, target_of, train
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import UseCase
from helpers_runtime import usecase_document
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.neighbors import KNeighborsClassifier


def rows(count: int = 1500, positives: float = 0.06, classes: int = 2, seed: int = 0) -> pd.DataFrame:
    """Few rows of class c0 among many of the others; a feature tells them apart by half."""
    random = np.random.default_rng(seed)
    others = (1 - positives) / (classes - 1)
    outcome = random.choice([f"c{i}" for i in range(classes)], count, p=[positives, *[others] * (classes - 1)])
    signal = random.normal(size=count) + 1.6 * (outcome == "c0")
    return pd.DataFrame({"a": signal, "b": random.normal(size=count), "outcome": outcome})


def use_case(frame: pd.DataFrame, task: str = "binary", **model: Any) -> UseCase:
    positive = {"positive": "c0"} if task == "binary" else {}
    return UseCase.model_validate(usecase_document(frame, task, model={**positive, **model}))


def trained(
    frame: pd.DataFrame, task: str = "binary", model: Any = None, **fields: Any
) -> tuple[Trained, pd.DataFrame, Any]:
    usecase = use_case(frame, task, **fields)
    table = to_canonical(frame, usecase.data.contract.columns)
    found = split(table, usecase)
    features = ColumnTransformer([("numbers", "passthrough", ["a", "b"])])
    result = train(table, usecase, found, features, {"linear": model or LogisticRegression()})
    held_out = table.iloc[found.test]
    return result, held_out, target_of(held_out, usecase)


def choice(result: Trained, name: str) -> Any:
    return next(c for c in result.choices if c.name == name)


@pytest.mark.parametrize(
    ("frame", "task", "model", "expected", "said"),
    [
        (rows(positives=0.4), "binary", {}, "none", "which is not rare"),
        (rows(), "binary", {}, "threshold", "the decision threshold meets that"),
        (rows(), "binary", {"imbalance": "weights"}, "weights", "model.imbalance asks for it"),
        (rows(), "binary", {"imbalance": "none"}, "none", "model.imbalance asks for it"),
        (rows(classes=3), "multiclass", {}, "weights", "balanced_accuracy counts every class alike"),
        (rows(classes=3), "multiclass", {"metric": "log_loss"}, "none", "weights would worsen it"),
        (rows(positives=0.3, classes=3), "multiclass", {}, "none", "which is not rare"),
    ],
)
def test_what_is_done_follows_from_the_rows_and_the_metric(
    frame: pd.DataFrame, task: str, model: dict[str, Any], expected: str, said: str
) -> None:
    usecase = use_case(frame, task, **model)
    handling, choices = handle(frame["outcome"].to_numpy(dtype=object), usecase)
    assert handling == choices[0].value == expected
    assert said in choices[0].reason
    assert f"{(frame['outcome'] == 'c0').mean():.1%} of 1500 rows" in choices[0].reason


def test_a_regression_has_no_classes_to_speak_of() -> None:
    frame = rows().assign(outcome=np.arange(1500.0))
    assert handle(np.arange(1500.0), use_case(frame, "regression")) == ("none", ())


def test_with_weights_every_class_weighs_the_same() -> None:
    target = rows()["outcome"].to_numpy(dtype=object)
    weights = class_weights(target)
    assert weights[target == "c0"].sum() == pytest.approx(weights[target == "c1"].sum())
    assert weights.mean() == pytest.approx(1.0)


def test_a_threshold_finds_more_of_the_rare_class_and_leaves_probabilities_honest() -> None:
    frame = rows(4000)
    chosen, held_out, truth = trained(frame)
    ignored, _, _ = trained(frame, imbalance="none")
    assert chosen.signature.threshold is not None
    assert chosen.signature.threshold < 0.45
    assert ignored.signature.threshold == 0.5
    better, worse = (predict(r.estimator, r.signature, held_out) for r in (chosen, ignored))
    np.testing.assert_array_equal(better.probabilities, worse.probabilities)
    assert f1_score(truth, better.values, pos_label="c0") > f1_score(truth, worse.values, pos_label="c0")
    assert better.probabilities is not None
    assert better.probabilities[:, 0].mean() == pytest.approx((truth == "c0").mean(), abs=0.02)
    assert choice(chosen, "threshold").value == f"{chosen.signature.threshold:.4g}"


def test_weights_move_the_probabilities_and_find_more_of_the_rare_class() -> None:
    frame = rows()
    weighted, held_out, truth = trained(frame, imbalance="weights", calibrate="none")
    plain, _, _ = trained(frame, imbalance="none", calibrate="none")
    shares = [predict(r.estimator, r.signature, held_out).probabilities for r in (weighted, plain)]
    assert shares[0][:, 0].mean() > 3 * shares[1][:, 0].mean()  # type: ignore[index]
    with_weights, without = (predict(r.estimator, r.signature, held_out).values for r in (weighted, plain))
    assert recall_score(truth, with_weights, pos_label="c0") > recall_score(truth, without, pos_label="c0")


def test_weights_reach_the_rare_class_of_three_and_no_curve_undoes_them() -> None:
    frame = rows(classes=3)
    weighted, held_out, truth = trained(frame, "multiclass")
    plain, _, _ = trained(frame, "multiclass", imbalance="none")
    found = [
        (predict(r.estimator, r.signature, held_out).values == "c0")[truth == "c0"].mean() for r in (weighted, plain)
    ]
    assert found[0] > found[1] + 0.2
    assert "a curve would undo them" in choice(weighted, "calibration").reason


def test_weights_that_are_asked_for_and_cannot_be_given_stop_the_run() -> None:
    with pytest.raises(ProjectCodeFailed, match="'linear' cannot be fitted with sample weights"):
        trained(rows(), model=KNeighborsClassifier(), imbalance="weights")


def test_weights_that_the_runtime_chose_and_cannot_give_are_said_to_be_missing() -> None:
    result, _, _ = trained(rows(300, classes=3), "multiclass", model=KNeighborsClassifier())
    assert "without weights, which they do not take: 'linear'" in choice(result, "imbalance").reason


def test_costs_set_the_threshold_and_the_weighted_probabilities_do_not_mislead_it() -> None:
    costs = {"false_positive": 1, "false_negative": 12, "unit": "EUR"}
    result, held_out, truth = trained(rows(4000), costs=costs, imbalance="weights")
    acted = predict(result.estimator, result.signature, held_out).values == "c0"

    def cost(acted: Any) -> float:
        return float((acted & (truth != "c0")).sum() + 12 * (~acted & (truth == "c0")).sum())

    nobody, everybody = np.zeros(len(truth), dtype=bool), np.ones(len(truth), dtype=bool)
    assert cost(acted) < 0.8 * min(cost(nobody), cost(everybody))
    assert "EUR a row" in choice(result, "threshold").reason


def test_the_baseline_is_not_spoiled_by_the_models_threshold() -> None:
    result, held_out, truth = trained(rows(), costs={"false_positive": 1, "false_negative": 200})
    assert result.signature.threshold is not None
    assert result.signature.threshold < 0.05
    blind = predict(result.baseline, result.blind_signature, held_out).values
    assert (blind == "c1").all()
    assert (blind == truth).mean() > 0.9


def test_the_threshold_is_chosen_without_the_held_out_rows() -> None:
    frame = rows()
    result, held_out, _ = trained(frame)
    turned = frame.copy()
    positions = held_out.index.to_numpy()
    turned.loc[positions, "a"] = -5 * turned.loc[positions, "a"]
    again, _, _ = trained(turned)
    assert again.signature.threshold == result.signature.threshold
    assert again.choices == result.choices
