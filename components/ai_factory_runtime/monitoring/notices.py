"""Notices: what people are told of drift and of retraining, and when: news, not repetition.

Drift is told when it is found, when it is another one than was told, when it lasts longer than the cool-down, and when it
is over. A notice that a channel did not take is sent again by the next look.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.monitoring.notify import Delivery, Notice, notify
from ai_factory_runtime.monitoring.verdicts import skipped, verdicts

if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.monitor import MonitorResult

TOLD = "told.json"
DRIFT, OVER = "drift", "drift-over"
MOST_RULES = 10


def tell_of_drift(project: Project, result: MonitorResult, *, now: dt.datetime) -> tuple[Delivery, ...]:
    """Tell what a look found, where it is news; nobody is told of a window that is too small to judge."""
    path = project.reports / result.stage / TOLD
    before = _read(path)
    finding = _finding(result)
    cooldown = dt.timedelta(hours=project.usecase.monitoring.retraining.cooldown_hours)
    event = news(finding, before, too_small=result.report.too_small, cooldown=cooldown, now=now)
    if not event:
        return ()
    told = notify(project, _notice(project, result, event))
    if all(delivery.sent for delivery in told):
        document = {"at": now.isoformat(timespec="seconds"), "finding": finding}
        write_atomically(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    return told


def news(
    finding: list[str], before: Mapping[str, Any], *, too_small: bool, cooldown: dt.timedelta, now: dt.datetime
) -> str:
    """DRIFT, OVER or nothing. `before` is what was told last and when; a time in the future is ignored."""
    last, known = _moment(before.get("at")), before.get("finding") or []
    if finding:
        lately = last is not None and dt.timedelta() <= now - last < cooldown
        return "" if lately and finding == known else DRIFT
    return OVER if known and not too_small else ""


def summary(result: MonitorResult) -> list[str]:
    """What moved, a line for each kind; then the commonest rules that were broken, without any value of the rows."""
    moved = [f"{v.title}: {v.said}" for v in verdicts(result) if v.moved]
    broken = [(part, v) for part in result.findings.schema.parts if part.moved for v in part.violations]
    return moved + [f"  {v.rule_text} in {v.count:,} {part.what}" for part, v in broken[:MOST_RULES]]


def _finding(result: MonitorResult) -> list[str]:
    """What the drift is, without its size: two looks at the same drift give the same."""
    columns = [*result.report.drifted_columns, *result.report.drifted_predictions]
    rules = [v.rule_text for part in result.findings.schema.parts for v in part.rules_moved]
    return [*result.kinds, *sorted(c.name for c in columns), *sorted(rules)] if result.drifted else []


def _notice(project: Project, result: MonitorResult, event: str) -> Notice:
    title = project.usecase.title or project.usecase.name
    moved = ", ".join(result.kinds)
    subject = (
        f"{title}: drift in {result.stage} ({moved})" if event == DRIFT else f"{title}: no more drift in {result.stage}"
    )
    lines = [
        *summary(result),
        f"Model version {result.version}, {result.window.rows} rows of {result.window.source}.",
        *skipped(result.window),
        f"Retraining due: {'yes' if result.retraining.due else 'no'}, {result.retraining.because}.",
        f"Report: {result.page}",
    ]
    facts = {
        "kinds": list(result.kinds),
        "columns": [c.name for c in result.report.drifted_columns],
        "rows": result.window.rows,
        "rows_skipped": result.window.skipped,
        "requests_refused": result.window.refused,
        "version": result.version,
        "digest": result.digest,
        "retraining_due": result.retraining.due,
        "report": str(result.document),
    }
    return Notice(event, result.at, project.usecase.name, result.stage, subject, "\n".join(lines), facts)


def _read(path: Path) -> dict[str, Any]:
    """What was told last; nothing where the note is damaged: then telling again is right."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(text: object) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
