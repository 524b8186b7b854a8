"""What fields must agree on. The types of single fields are pydantic's business, in `usecase`; what no single field can see is here.

Each check takes a View and yields Findings with exact paths; it stays silent where a fact it needs is absent or invalid, so
the same checks serve a finished model and a file that is wrong elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ai_factory_spec.data_checks import column_agrees, contract_agrees, data_agrees
from ai_factory_spec.findings import SUGGESTIONS, Finding, listed, twice
from ai_factory_spec.metrics import METRICS, Task
from ai_factory_spec.model_checks import (
    acceptance_agrees,
    as_task,
    costs_agree,
    fairness_agrees,
    metric_finding,
    model_agrees,
    threshold_agrees,
)
from ai_factory_spec.operation_checks import (
    architecture_agrees,
    channel_agrees,
    deployment_agrees,
    name_agrees,
    tracking_agrees,
)
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.view import View


def findings(usecase: View) -> Iterator[Finding]:
    """Every disagreement between fields, section by section."""
    data, acceptance = usecase.section("data"), usecase.section("acceptance")
    contract = data.section("contract")
    for column in contract.sections("columns"):
        yield from column_agrees(column)
    yield from contract_agrees(contract)
    yield from data_agrees(data)
    yield from model_agrees(usecase.section("model"))
    for _, threshold in acceptance.named("metrics"):
        yield from threshold_agrees(threshold)
    yield from acceptance_agrees(acceptance)
    for part in acceptance.sections("slices"):
        for _, threshold in part.named("metrics"):
            yield from threshold_agrees(threshold)
    if acceptance.section("kpi").given:
        yield from threshold_agrees(acceptance.section("kpi"))
    yield from fairness_agrees(acceptance.section("fairness"))
    if usecase.section("model").section("costs").given:
        yield from costs_agree(usecase.section("model").section("costs"))
    yield from deployment_agrees(usecase.section("deployment"))
    for channel in usecase.section("monitoring").sections("notify"):
        yield from channel_agrees(channel)
    yield from tracking_agrees(usecase.section("tracking"))
    yield from sections_agree(usecase)


def sections_agree(usecase: View) -> Iterator[Finding]:
    """What no single section can see: name against stages, task against target, metrics against task, fairness against columns,
    serving against architecture."""
    yield from name_agrees(usecase)
    yield from architecture_agrees(usecase)
    task, data, acceptance = (
        as_task(usecase.section("model").text("task")),
        usecase.section("data"),
        usecase.section("acceptance"),
    )
    columns = {c.text("name"): c for c in data.section("contract").sections("columns")}
    target = columns.get(data.text("target"))
    if task is not None and target is not None:
        yield from _target_fits_task(usecase.section("model"), task, target)
    if task is not None:
        for section in (acceptance, *acceptance.sections("slices")):
            for name, threshold in section.named("metrics"):
                if name not in METRICS or task not in METRICS[name].tasks:
                    yield metric_finding(threshold.path, name, task)
    if task == "regression" and acceptance.section("calibration").given:
        yield Finding(acceptance.at("calibration"), "a regression gives no probabilities", "remove it")
    fairness = acceptance.section("fairness")
    if fairness.given and data.complete("sensitive") and not list(data.texts("sensitive")):
        yield Finding(fairness.path, "needs `data.sensitive`: which columns' groups to compare")
    for rate in ("max_selection_rate_difference", "min_selection_rate_ratio", "max_equalized_odds_difference"):
        if task not in (None, "binary") and fairness.number(rate) is not None:
            yield Finding(
                fairness.at(rate), f"a selection rate needs a positive class; a {task} task has none",
                "use `max_error_difference`",
            )  # fmt: skip
    known = {name for name in columns if name is not None}
    yield from _partition_agrees(usecase, columns)
    sliced = [(s.at("column"), by) for s in acceptance.sections("slices") if (by := s.text("column")) is not None]
    for i, (path, name) in enumerate([*acceptance.texts("allowed_leakage"), *sliced]):
        if known and name not in known:
            meant = did_you_mean(name, known) if i < SUGGESTIONS else ""
            yield Finding(path, f"{name!r} is no column of data.contract{meant}")
    for key in ("pipelines", "stacks"):
        yield from twice(usecase, key, "the blueprint")


def _partition_agrees(usecase: View, columns: Mapping[str | None, View]) -> Iterator[Finding]:
    """The column that models are split by is a category and plays no other part."""
    model, data = usecase.section("model"), usecase.section("data")
    name = model.text("partition_by")
    if name is None or None in columns or not columns:
        return
    if name not in columns:
        meant = did_you_mean(name, {n for n in columns if n is not None})
        yield Finding(model.at("partition_by"), f"{name!r} is no column of data.contract{meant}")
        return
    if columns[name].text("type") not in (None, "category"):
        yield Finding(
            model.at("partition_by"), f"{name!r} is of type {columns[name].text('type')}; a category is needed"
        )
    parts = {data.text("target"): "the target", data.text("id"): "the id", data.text("time"): "the time"}
    parts |= {p.text("column"): "personal data" for p in data.sections("pii")}
    if name in parts:
        yield Finding(model.at("partition_by"), f"{name!r} is {parts[name]}; models cannot be split by it")


def _target_fits_task(model: View, task: Task, target: View) -> Iterator[Finding]:
    kind, name = target.text("type"), target.text("name")
    if kind is None:
        return
    if task == "regression":
        if kind not in ("integer", "number"):
            yield Finding(model.at("task"), f"regression needs a numeric target; {name!r} is of type {kind}")
        return
    if kind != "category":
        yield Finding(
            target.at("type"), f"a {task} task needs a target of type category; {name!r} is of type {kind}",
            "set type: category and list its values, or set model.task: regression",
        )  # fmt: skip
        return
    classes = [value for _, value in target.texts("categories")]
    if not target.complete("categories") or not classes:
        return
    if (len(classes) == 2) != (task == "binary") or len(classes) < 2:
        fitting = "binary" if len(classes) == 2 else "multiclass" if len(classes) > 2 else "none"
        yield Finding(model.at("task"), f"{task} does not fit a target of {len(classes)} classes; fitting: {fitting}")
    positive = model.text("positive")
    if task == "binary" and positive is not None and positive not in classes:
        meant = did_you_mean(positive, classes)
        yield Finding(model.at("positive"), f"{positive!r} is none of the classes {listed(classes)}{meant}")
