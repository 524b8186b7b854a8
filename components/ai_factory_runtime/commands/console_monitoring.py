"""What `monitor` and `retrain` print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ai_factory_runtime.commands.console import printable, show_json
from ai_factory_runtime.monitoring.verdicts import broken_rules, skipped, verdicts

if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.monitor import MonitorResult
    from ai_factory_runtime.monitoring.notify import Delivery
    from ai_factory_runtime.monitoring.retrain import RetrainResult

MOST_COLUMNS = 10


def show_drift(result: MonitorResult, *, as_json: bool) -> None:
    """What moved, by how much, and what follows."""
    if as_json:
        show_json(result.to_dict())
        return
    report = result.report
    small = "is too small to judge" if report.too_small else "did not drift"
    said = f"drifted ({', '.join(result.kinds)})" if result.drifted else small
    _line(f"{result.window.source}, {result.window.rows} rows, {said}; compared with version {result.version}.")
    for verdict in verdicts(result):
        _line(f"  {verdict.title}: {verdict.answer}, {verdict.said}")
    _show_breaks(result)
    moved = [c for c in (*report.columns, *report.predictions) if c.drifted and not report.too_small]
    for column in sorted(moved, key=lambda c: -c.severity)[:MOST_COLUMNS]:
        findings = ", ".join(f"{f.statistic} {f.value:.3g} > {f.limit:.3g}" for f in column.findings if f.drifted)
        _line(f"  {column.name}: {findings}")
    for sentence in skipped(result.window):
        _line(f"Skipped: {sentence}")
    _line(f"Retraining: {'yes' if result.retraining.due else 'no'}, {result.retraining.because}.")
    _show_told(result.told)
    _line(f"Report: {result.page}")


def _show_breaks(result: MonitorResult) -> None:
    """The rules that rows or requests break, the commonest first."""
    lines = broken_rules(result.findings.schema)
    for line in lines[:MOST_COLUMNS]:
        _line(f"  {line}")
    if len(lines) > MOST_COLUMNS:
        _line(f"  and {len(lines) - MOST_COLUMNS} further rules, in the report")


def show_retraining(result: RetrainResult, *, command: str, as_json: bool) -> None:
    """What asked, what was decided, and what the run came to."""
    if as_json:
        show_json(result.to_dict())
        return
    decision, made = result.decision, result.run
    for trigger in decision.triggers:
        _line(f"  {trigger.name}: {'yes' if trigger.asks else 'no'}, {trigger.because}")
    _line(f"Retraining: {'yes' if decision.due or made or result.refused else 'no'}, {decision.because}.")
    _show_told(result.told)
    if made is not None and made.registered is not None:
        _line(f"Registered version {made.registered.version}: {made.verdict}, {made.comparison.reason}.")
        _line(f"Card: {made.card}")
        if made.verdict == "promote":
            _line(f"Next: `{command} monitor`, and `{command} releases` for who must sign.")


def _show_told(told: Sequence[Delivery]) -> None:
    """Who was told, to standard output; who was not, to standard error."""
    for delivery in told:
        if delivery.sent:
            _line(f"Told: {delivery.channel}")
        else:
            sys.stderr.write(printable(f"NOT TOLD: {delivery.channel}: {delivery.problem}\n"))


def _line(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")
