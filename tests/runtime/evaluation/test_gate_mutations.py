"""Every gate has its mutation: a model made worse on purpose, through the whole pipeline, is refused by the gate meant for it.

One healthy project passes all gates at once. Each mutation changes one thing of it, and the gates that then fail are exactly
those that are meant to; nothing is registered.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import GateFailed, LeakageFound
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.documents import pages
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps.pipeline import run
from ai_factory_spec.usecase import UseCase
from helpers_runtime import SOURCE, columns_of, make_project, quick
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

ROWS = 900
ACCEPTANCE: dict[str, Any] = {
    "metrics": {"roc_auc": {"min": 0.8, "confident": True}, "log_loss": {"max": 0.6}},
    "kpi": {"min": 0.6},
    "slices": [{"column": "region", "metrics": {"roc_auc": {"min": 0.7}}}],
    "fairness": {
        "max_selection_rate_difference": 0.3,
        "min_selection_rate_ratio": 0.6,
        "max_equalized_odds_difference": 0.3,
        "max_error_difference": 0.15,
    },
    "calibration": {"max_error": 0.08},
    "explainability": {"max_share": 0.7},
    "robustness": {"max_drop": 0.7},
    "latency": {"p99_ms": 5000, "p99_ms_1000_rows": 20_000},
}


def customers() -> pd.DataFrame:
    """Three numbers tell the outcome alike; region and sex tell nothing."""
    random = np.random.default_rng(11)
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)).round(3), columns=["visits", "spend", "tenure"])
    frame["region"] = random.choice(["north", "south", "west"], ROWS)
    frame["sex"] = random.choice(["one", "other"], ROWS)
    score = frame["visits"] + frame["spend"] + frame["tenure"] + random.normal(0, 0.8, ROWS)
    frame["outcome"] = np.where(score > 0, "yes", "no")
    return frame


def kpi(usecase: UseCase, rows: pd.DataFrame, truth: Any, prediction: Prediction) -> float:
    """The share of customers answered rightly."""
    return float(np.mean(truth == prediction.values))


def project_of(folder: Path, frame: pd.DataFrame, **changes: Any) -> Project:
    acceptance = {**ACCEPTANCE, **changes.pop("acceptance", {})}
    data = {"source": SOURCE, "target": "outcome", "sensitive": ["sex"], "contract": {"columns": columns_of(frame)}}
    model = {"task": "binary", "positive": "yes", "seed": 7, "test_size": 0.5, **changes.pop("model", {})}
    project = make_project(
        folder, frame, "binary", data=data, model=model, acceptance=acceptance, **{"candidates": quick, **changes}
    )
    return dataclasses.replace(project, hooks=dataclasses.replace(project.hooks, kpi=kpi))


def failed_gates(project: Project) -> set[str]:
    """The gates that refuse this project's model. Nothing may be registered."""
    with pytest.raises(GateFailed) as refusal:
        run(project)
    assert open_registry(project).versions() == ()
    assert not project.stages.exists()
    return {r.name for r in refusal.value.results}


def test_the_healthy_model_passes_every_gate(tmp_path: Path) -> None:
    result = run(project_of(tmp_path, customers()))
    assert result.registered is not None
    assert sorted(g.name for g in result.gates) == sorted([
        "beats-baseline", "metric:roc_auc:min", "metric:log_loss:max", "kpi:min", "slice:region:roc_auc:min",
        "fairness:sex:selection-rate", "fairness:sex:selection-rate-ratio", "fairness:sex:equalized-odds",
        "fairness:sex:error", "calibration", "explainability", "robustness", "latency", "latency:1000-rows", "data-sheet",
        "model-card",
    ])  # fmt: skip


# --- mutations of the data


def shuffled_target(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(outcome=frame["outcome"].sample(frac=1, random_state=3).to_numpy())


def a_region_that_is_noise(frame: pd.DataFrame) -> pd.DataFrame:
    noise = np.random.default_rng(1).choice(["yes", "no"], ROWS)
    return frame.assign(outcome=np.where(frame["region"] == "north", noise, frame["outcome"]))


def a_favoured_sex(frame: pd.DataFrame) -> pd.DataFrame:
    """History favoured one sex, and the model learns it."""
    given = (frame["sex"] == "one") & (np.random.default_rng(2).random(ROWS) < 0.75)
    return frame.assign(outcome=np.where(given, "yes", frame["outcome"]))


def a_sex_that_is_noise(frame: pd.DataFrame) -> pd.DataFrame:
    noise = np.random.default_rng(1).random(ROWS) < 0.35
    flipped = np.where(frame["outcome"] == "yes", "no", "yes")
    return frame.assign(outcome=np.where((frame["sex"] == "other") & noise, flipped, frame["outcome"]))


def one_feature_alone(frame: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(4)
    score = 3 * frame["visits"] + random.normal(0, 0.8, ROWS)
    return frame.assign(outcome=np.where(score > 0, "yes", "no"))


def weak_features(frame: pd.DataFrame) -> pd.DataFrame:
    noise = np.random.default_rng(5).normal(0, 4.0, (ROWS, 3))
    return frame.assign(**{n: frame[n] + noise[:, i] for i, n in enumerate(("visits", "spend", "tenure"))})


@pytest.mark.parametrize(
    ("mutate", "meant", "loosened"),
    [
        (shuffled_target, {"beats-baseline"}, ("metrics", "kpi", "slices", "fairness", "explainability", "robustness")),
        (a_region_that_is_noise, {"slice:region:roc_auc:min"}, ("metrics", "kpi", "calibration")),
        (
            a_favoured_sex,
            {"fairness:sex:selection-rate", "fairness:sex:selection-rate-ratio", "fairness:sex:equalized-odds"},
            ("metrics",),
        ),
        (a_sex_that_is_noise, {"fairness:sex:error", "fairness:sex:equalized-odds"}, ("metrics", "calibration")),
        (one_feature_alone, {"explainability", "robustness"}, ()),
        (weak_features, {"metric:roc_auc:min", "metric:log_loss:max", "kpi:min"}, ("slices",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_fault_of_the_data_is_refused_by_the_gate_meant_for_it(
    tmp_path: Path, mutate: Callable[[pd.DataFrame], pd.DataFrame], meant: set[str], loosened: tuple[str, ...]
) -> None:
    nothing: Mapping[str, Any] = {"metrics": {}, "slices": []}
    project = project_of(tmp_path, mutate(customers()), acceptance={name: nothing.get(name) for name in loosened})
    assert failed_gates(project) == meant


# --- mutations of the model


@pytest.mark.slow
def test_an_overconfident_model_is_refused_by_the_calibration_gate(tmp_path: Path) -> None:
    """Naive Bayes counts each copy of a feature as new evidence; left uncalibrated, it is far too sure."""
    frame = customers()
    copies = {f"{n}_{i}": frame[n] for n in ("visits", "spend", "tenure") for i in range(8)}
    project = project_of(
        tmp_path,
        frame.assign(**copies)[[*frame.columns[:-1], *copies, "outcome"]],
        candidates=lambda _: {"naive": GaussianNB()},
        model={"calibrate": "none"},
        acceptance={"metrics": {}, "robustness": None},
    )
    assert failed_gates(project) == {"calibration"}


@pytest.mark.slow
def test_a_slow_model_is_refused_by_both_latency_gates(tmp_path: Path) -> None:
    """Five forests of forty trees, one after the other, in a wrapper that has no compiled form."""
    project = project_of(
        tmp_path,
        customers(),
        candidates=lambda _: {
            "slow": BaggingClassifier(ExtraTreesClassifier(n_estimators=40), n_estimators=5, random_state=0)
        },
        model={"calibrate": "none"},
        acceptance={"calibration": None, "latency": {"p99_ms": 2, "p99_ms_1000_rows": 5}},
    )
    assert failed_gates(project) == {"latency", "latency:1000-rows"}


def test_a_model_worse_than_agreed_is_refused_by_the_metric_gate(tmp_path: Path) -> None:
    """So much shrinkage that every probability is that of the class: the order is right, the numbers say nothing."""
    project = project_of(
        tmp_path,
        customers(),
        candidates=lambda _: {"shrunk": LogisticRegression(C=1e-7)},
        model={"calibrate": "none"},
    )
    assert "metric:log_loss:max" in failed_gates(project)


@pytest.mark.slow
def test_a_kpi_below_what_was_agreed_and_a_kpi_that_nobody_computes_are_refused(tmp_path: Path) -> None:
    project = project_of(tmp_path / "low", customers(), acceptance={"kpi": {"min": 0.99}})
    assert failed_gates(project) == {"kpi:min"}
    without = dataclasses.replace(project, hooks=dataclasses.replace(project.hooks, kpi=None))
    assert failed_gates(without) == {"kpi"}


# --- a leak: stopped before training, and where it was allowed by mistake, by what the model rests on


def leaking(frame: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(6)
    told = (frame["outcome"] == "yes") * 1.0 + random.normal(0, 0.05, ROWS)
    return frame.assign(refund=told.round(3))[["refund", *frame.columns]]


def test_a_leaked_column_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    project = project_of(tmp_path, leaking(customers()))
    with pytest.raises(LeakageFound, match="'refund' alone predicts the target"):
        run(project)
    assert open_registry(project).versions() == ()


def test_a_leaked_column_that_was_allowed_is_refused_for_carrying_the_model(tmp_path: Path) -> None:
    project = project_of(tmp_path, leaking(customers()), acceptance={"allowed_leakage": ["refund"]})
    assert failed_gates(project) == {"explainability"}


# --- a document that is not whole


@pytest.mark.parametrize(
    ("template", "section", "gate"),
    [("card.md.j2", "Limits", "model-card"), ("data_sheet.md.j2", "Personal data", "data-sheet")],
)
def test_a_document_that_lost_a_section_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, section: str, gate: str
) -> None:
    """Somebody edits the template and takes a section out."""
    edited = shutil.copytree(pages.TEMPLATES, tmp_path / "templates") / template
    before, found, after = edited.read_text().partition(f"## {section}\n")
    assert found
    edited.write_text(before + "## " + after.partition("\n## ")[2])
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path / "templates")
    assert failed_gates(project_of(tmp_path / "project", customers())) == {gate}
