"""What fields must agree on. The types of single fields are pydantic's business, in `usecase`; what no single field can see is here.

Each check takes a View and yields Findings with exact paths; it stays silent where a fact it needs is absent or invalid, so
the same checks serve a finished model and a file that is wrong elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ai_factory_spec.bounds import Bound, as_bound
from ai_factory_spec.metrics import METRICS, TASKS, Metric, Task, metrics_for
from ai_factory_spec.paths import Path, dotted
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.view import View

STAGES = ("dev", "staging", "prod")
NO_FEATURE_TYPES = ("text", "datetime")
_SUGGESTIONS = 20  # nearest names are looked up for so many problems of a kind; each lookup reads every column's name


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement: where, what, and what would be right."""

    path: Path
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}{f' ({self.hint})' if self.hint else ''}"


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
    yield from fairness_agrees(acceptance.section("fairness"))
    yield from deployment_agrees(usecase.section("deployment"))
    yield from sections_agree(usecase)


def column_agrees(column: View) -> Iterator[Finding]:
    """Categories and bounds fit the column's type."""
    kind = column.text("type")
    if kind is None:
        return
    if kind == "category":
        if column.absent("categories"):
            yield Finding(column.at("categories"), "a category column needs the list of values allowed")
    elif not column.absent("categories") and column.known("categories"):
        yield Finding(column.at("categories"), f"fits only type category, not {kind}")
    yield from _twice(column, "categories", "the value")
    bounds: dict[str, Bound] = {}
    for key in ("min", "max"):
        if column.absent(key) or not column.known(key):
            continue
        if kind not in ("integer", "number", "datetime"):
            yield Finding(column.at(key), f"fits integer, number and datetime, not {kind}")
            continue
        bounds[key] = bound = as_bound(column.get(key))
        if (kind == "datetime") == isinstance(bound, float):
            wanted = "a date such as 2024-01-31" if kind == "datetime" else "a number"
            yield Finding(column.at(key), f"the bound of a column of type {kind} must be {wanted}")
            return
    low, high = bounds.get("min"), bounds.get("max")
    if low is not None and high is not None and low > high:  # type: ignore[operator]  # both are of the column's type
        yield Finding(column.at("max"), f"max {high} is smaller than min {low}: no value passes")


def contract_agrees(contract: View) -> Iterator[Finding]:
    """Column names are unique, and some number of rows is allowed."""
    first: dict[str, Path] = {}
    for column in contract.sections("columns"):
        name = column.text("name")
        if name is not None and first.setdefault(name, column.path) != column.path:
            yield Finding(column.at("name"), f"the column {name!r} is listed twice; first as {dotted(first[name])}")
    low, high = contract.number("min_rows"), contract.number("max_rows")
    if low is not None and high is not None and low > high:
        yield Finding(contract.at("max_rows"), f"max_rows {high} is smaller than min_rows {low}: no data passes")


def data_agrees(data: View) -> Iterator[Finding]:
    """Every column named exists, no column plays two parts that exclude each other, and a feature is left."""
    yield from _columns_exist(data)
    yield from _roles_agree(data)
    yield from _types_fit_roles(data)
    for key in ("sensitive", "ignore"):
        yield from _twice(data, key, "the column")
    columns = list(data.section("contract").sections("columns"))
    parts = (*(data.known(k) for k in ("target", "id", "time")), *(data.complete(k) for k in ("ignore", "pii")))
    if not columns or not all(parts) or any(c.text("type") is None or c.text("name") is None for c in columns):
        return
    never = {name for key, _, name in _named_columns(data) if key != "sensitive"}
    if all(c.text("name") in never or c.text("type") in NO_FEATURE_TYPES for c in columns):
        yield Finding(
            data.at("contract", "columns"),
            "no column is left as a feature: all are target, id, time, pii, text, datetime or ignored",
        )


def _named_columns(data: View) -> Iterator[tuple[str, Path, str]]:
    """Field, dotted path and column for every place of the section that names a column."""
    for key in ("target", "id", "time"):
        if (name := data.text(key)) is not None:
            yield key, data.at(key), name
    for key in ("sensitive", "ignore"):
        for path, name in data.texts(key):
            yield key, path, name
    for pii in data.sections("pii"):
        if (name := pii.text("column")) is not None:
            yield "pii", pii.at("column"), name


def _columns_exist(data: View) -> Iterator[Finding]:
    contract = data.section("contract")
    known = {name for c in contract.sections("columns") if (name := c.text("name")) is not None}
    if not known or not contract.complete("columns"):
        return
    unknown = [(path, name) for _, path, name in _named_columns(data) if name not in known]
    hint = f"columns: {_listed(known)}" if unknown else ""
    for i, (path, name) in enumerate(unknown):
        meant = did_you_mean(name, known) if i < _SUGGESTIONS else ""
        yield Finding(path, f"{name!r} is no column of data.contract{meant}", hint)


def _roles_agree(data: View) -> Iterator[Finding]:
    target, time = data.text("target"), data.text("time")
    seen: set[str] = set()
    for key, path, name in _named_columns(data):
        if key != "target" and name == target:
            yield Finding(path, f"{name!r} is the target; it cannot also be {key}")
        if key == "time" and name == data.text("id"):
            yield Finding(path, f"{name!r} is the id already")
        if key == "pii" and name in seen:
            yield Finding(path, f"the column {name!r} is listed twice")
        if key == "pii":
            seen.add(name)
    needed = {name: "time" for name in (time,) if name} | {name: "sensitive" for _, name in data.texts("sensitive")}
    if (id_ := data.text("id")) is not None:
        needed[id_] = "id"
    for pii in data.sections("pii"):
        name = pii.text("column") or ""
        if name in needed and name != target and pii.known("action") and pii.text("action") in (None, "drop"):
            yield Finding(
                pii.at("action"),
                f"{name!r} is needed as {needed[name]}, so it cannot be dropped on read",
                "use action: hash",
            )


def _types_fit_roles(data: View) -> Iterator[Finding]:
    columns = {c.text("name"): c for c in data.section("contract").sections("columns")}

    def kind(name: str | None) -> str | None:
        return columns[name].text("type") if name in columns else None

    if (time := kind(data.text("time"))) not in (None, "datetime", "integer", "number"):
        yield Finding(
            data.at("time"), f"{data.text('time')!r} is of type {time}; it must be datetime, integer or number"
        )
    target = columns.get(data.text("target"))
    if target is not None and target.get("nullable") is True:
        yield Finding(
            target.at("nullable"), "the target cannot be nullable: a row without it teaches nothing",
            "set nullable: false; data.contract.max_bad_rows says how many rows may be set aside",
        )  # fmt: skip
    for path, name in data.texts("sensitive"):
        if (group := kind(name)) not in (None, "category", "boolean"):
            yield Finding(path, f"{name!r} is of type {group}; groups are compared by a category or boolean column")


def model_agrees(model: View) -> Iterator[Finding]:
    """Metric and positive class fit the task."""
    yield from _twice(model, "candidates", "the family")
    task = as_task(model.text("task"))
    if task is None:
        return
    metric = model.text("metric")
    if metric is not None and task not in (METRICS[metric].tasks if metric in METRICS else ()):
        yield _metric_finding(model.at("metric"), metric, task)
    if task == "binary" and model.absent("positive"):
        yield Finding(model.at("positive"), "a binary task needs the class of interest", 'e.g. positive: "yes"')
    if task != "binary" and model.text("positive") is not None:
        yield Finding(model.at("positive"), f"fits only a binary task, not {task}", "remove it")


def threshold_agrees(threshold: View) -> Iterator[Finding]:
    """A threshold bounds something, and some value passes."""
    low, high = threshold.number("min"), threshold.number("max")
    if threshold.absent("min") and threshold.absent("max"):
        yield Finding(threshold.path, "a threshold needs `min` or `max`", "e.g. {min: 0.8}")
    if low is not None and high is not None and low > high:
        yield Finding(threshold.at("max"), f"max {high} is smaller than min {low}: no model passes")


def acceptance_agrees(acceptance: View) -> Iterator[Finding]:
    """Each threshold bounds its metric on the side that matters, within what the metric can reach."""
    for name, threshold in acceptance.named("metrics"):
        if name in METRICS:
            yield from _bounds_metric(threshold, METRICS[name])


def _bounds_metric(threshold: View, metric: Metric) -> Iterator[Finding]:
    for key in ("min", "max"):
        bound = threshold.number(key)
        if bound is not None and not metric.low <= bound <= metric.high:
            span = f"{metric.name} lies between {metric.low:g} and {metric.high:g}"
            yield Finding(threshold.at(key), f"{span}; {bound:g} is outside")
    worse, better = ("max", "min") if metric.greater_is_better else ("min", "max")
    if not threshold.absent(worse) and threshold.absent(better):
        direction = "larger" if metric.greater_is_better else "smaller"
        message = f"{metric.name} is better when {direction}: `{worse}` alone lets the worst models pass"
        yield Finding(threshold.at(worse), message, f"use `{better}`")


def fairness_agrees(fairness: View) -> Iterator[Finding]:
    """A fairness section bounds something."""
    bounds = ("max_selection_rate_difference", "max_error_difference")
    if fairness.given and all(fairness.absent(key) for key in bounds):
        yield Finding(fairness.path, f"nothing is bounded: give {' or '.join(f'`{b}`' for b in bounds)}")


def deployment_agrees(deployment: View) -> Iterator[Finding]:
    """Stages are in order."""
    stages = [stage for _, stage in deployment.texts("stages")]
    if deployment.complete("stages") and stages and stages != [s for s in STAGES if s in {"dev", *stages}]:
        got = ", ".join(stages)
        yield Finding(deployment.at("stages"), f"stages are dev, then staging, then prod, each at most once; got {got}")


def sections_agree(usecase: View) -> Iterator[Finding]:
    """What no single section can see: task against target, metrics against task, fairness against columns."""
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
        for name, threshold in acceptance.named("metrics"):
            if name not in METRICS or task not in METRICS[name].tasks:
                yield _metric_finding(threshold.path, name, task)
    fairness = acceptance.section("fairness")
    if fairness.given and data.complete("sensitive") and not list(data.texts("sensitive")):
        yield Finding(fairness.path, "needs `data.sensitive`: which columns' groups to compare")
    if task not in (None, "binary") and fairness.number("max_selection_rate_difference") is not None:
        yield Finding(
            fairness.at("max_selection_rate_difference"), f"a selection rate needs a positive class; a {task} task has none",
            "use `max_error_difference`",
        )  # fmt: skip
    known = {name for name in columns if name is not None}
    for i, (path, name) in enumerate(acceptance.texts("allowed_leakage")):
        if known and name not in known:
            meant = did_you_mean(name, known) if i < _SUGGESTIONS else ""
            yield Finding(path, f"{name!r} is no column of data.contract{meant}")
    for key in ("pipelines", "stacks"):
        yield from _twice(usecase, key, "the blueprint")


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
        yield Finding(model.at("positive"), f"{positive!r} is none of the classes {_listed(classes)}{meant}")


def as_task(text: str | None) -> Task | None:
    """The task of that name, or None."""
    return next((task for task in TASKS if task == text), None)


def _metric_finding(path: Path, name: str, task: Task) -> Finding:
    allowed = [m.name for m in metrics_for(task)]
    if name in METRICS:
        return Finding(path, f"{name} does not fit a {task} task", f"allowed: {', '.join(allowed)}")
    return Finding(path, f"{name!r} is no metric{did_you_mean(name, allowed)}", f"allowed: {', '.join(allowed)}")


def _twice(view: View, key: str, what: str) -> Iterator[Finding]:
    values = list(view.texts(key))
    repeated = {value for value, count in Counter(value for _, value in values).items() if count > 1}
    seen: set[str] = set()
    for path, value in values:
        if value in repeated and value in seen:
            yield Finding(path, f"{what} {value!r} is listed twice")
        seen.add(value)


def _listed(names: Collection[str], most: int = 12) -> str:
    shown: Iterable[str] = list(names)[:most] if isinstance(names, list) else sorted(names)[:most]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name if len(name) <= 60 else name[:59] + "…") for name in shown) + more
