"""What the fields of `model` and `acceptance` must agree on: metrics with the task, bounds with what a metric can reach."""

from __future__ import annotations

from collections.abc import Iterator

from ai_factory_spec.findings import Finding, twice
from ai_factory_spec.metrics import METRICS, TASKS, Metric, Task, metrics_for
from ai_factory_spec.paths import Path
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.view import View


def model_agrees(model: View) -> Iterator[Finding]:
    """Metric and positive class fit the task."""
    yield from twice(model, "candidates", "the family")
    task = as_task(model.text("task"))
    if task is None:
        return
    metric = model.text("metric")
    if metric is not None and task not in (METRICS[metric].tasks if metric in METRICS else ()):
        yield metric_finding(model.at("metric"), metric, task)
    if task == "binary" and model.absent("positive"):
        yield Finding(model.at("positive"), "a binary task needs the class of interest", 'e.g. positive: "yes"')
    if task != "binary" and model.section("costs").given:
        yield Finding(model.at("costs"), f"fits only a binary task, not {task}", "remove it")
    if task == "regression" and model.text("imbalance") in ("weights", "threshold"):
        yield Finding(model.at("imbalance"), "fits only a classification", "remove it")
    if task == "multiclass" and model.text("imbalance") == "threshold":
        yield Finding(model.at("imbalance"), "a threshold fits only a binary task", "use imbalance: weights")
    if task == "regression" and model.text("calibrate") in ("sigmoid", "isotonic"):
        yield Finding(model.at("calibrate"), "a regression gives no probabilities", "remove it")
    if task != "binary" and model.text("positive") is not None:
        yield Finding(model.at("positive"), f"fits only a binary task, not {task}", "remove it")


def costs_agree(costs: View) -> Iterator[Finding]:
    """Being right costs less than being wrong, in both directions; else no threshold means anything."""
    for right, wrong in (("true_positive", "false_negative"), ("true_negative", "false_positive")):
        less, more = costs.number(right) or 0.0, costs.number(wrong)
        if more is not None and costs.known(right) and not less < more:
            yield Finding(costs.at(wrong), f"{wrong} {more:g} must cost more than {right} {less:g}")


def threshold_agrees(threshold: View) -> Iterator[Finding]:
    """A threshold bounds something, and some value passes."""
    low, high = threshold.number("min"), threshold.number("max")
    if threshold.absent("min") and threshold.absent("max"):
        yield Finding(threshold.path, "a threshold needs `min` or `max`", "e.g. {min: 0.8}")
    if low is not None and high is not None and low > high:
        yield Finding(threshold.at("max"), f"max {high} is smaller than min {low}: no model passes")


def acceptance_agrees(acceptance: View) -> Iterator[Finding]:
    """Each threshold bounds its metric on the side that matters, within what the metric can reach."""
    for part in (acceptance, *acceptance.sections("slices")):
        for name, threshold in part.named("metrics"):
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
    bounds = (
        "max_selection_rate_difference", "min_selection_rate_ratio", "max_equalized_odds_difference", "max_error_difference",
    )  # fmt: skip
    if fairness.given and all(fairness.absent(key) for key in bounds):
        yield Finding(fairness.path, f"nothing is bounded: give {' or '.join(f'`{b}`' for b in bounds)}")


def as_task(text: str | None) -> Task | None:
    """The task of that name, or None."""
    return next((task for task in TASKS if task == text), None)


def metric_finding(path: Path, name: str, task: Task) -> Finding:
    """The finding for a metric that is none, or that is none of this task."""
    allowed = [m.name for m in metrics_for(task)]
    if name in METRICS:
        return Finding(path, f"{name} does not fit a {task} task", f"allowed: {', '.join(allowed)}")
    return Finding(path, f"{name!r} is no metric{did_you_mean(name, allowed)}", f"allowed: {', '.join(allowed)}")
