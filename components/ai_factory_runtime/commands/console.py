"""The only printer of the project command: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_spec.errors import FactoryError
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project
    from ai_factory_runtime.batch.job import ScoreResult
    from ai_factory_runtime.releases.release import Release
    from ai_factory_runtime.releases.stages import Deployed
    from ai_factory_runtime.steps.history import PastRun
    from ai_factory_runtime.steps.pipeline import RunResult

_COMMAND = re.compile(r"`((?:run|show|serve|score|promote|partitions|registry)(?: [^`]*)?)`")
"""What a hint names by its own name alone, because the command that it is given to may have any."""
_PLAIN_WIDTH = 160  # where the output is no terminal, so that a log keeps its lines


def show_json(document: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def show_error(error: FactoryError, *, command: str, as_json: bool) -> None:
    """Print an error: message, hint, slug. As JSON to standard output, with its details, for a program; else to standard error."""
    if as_json:
        said = {"slug": error.slug, "message": str(error), "hint": error.hint, "exit_code": error.exit_code}
        show_json({"error": {**error.details(), **said}})
        return
    hint = _COMMAND.sub(lambda found: f"`{command} {found[1]}`", error.hint)
    lines = [f"Error: {error}", *([f"Next: {hint}"] if hint else []), f"More: docs/errors.md#{error.slug}"]
    sys.stderr.write("\n".join(map(printable, lines)) + "\n")


@contextlib.contextmanager
def progress(steps: Sequence[str], *, quiet: bool) -> Iterator[Callable[[str, str], None]]:
    """A function that shows the step at work: a bar on a terminal, one line a step elsewhere, nothing if `quiet`."""
    console = Console(stderr=True)
    if quiet:
        yield lambda _step, _detail: None
    elif not console.is_terminal:
        yield lambda step, detail: print(f"{step} {printable(detail)}".rstrip(), file=sys.stderr)  # noqa: T201
    else:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=len(steps))

            def advance(step: str, detail: str) -> None:
                bar.update(task, completed=steps.index(step), description=printable(f"{step} {detail}").rstrip())

            yield advance


def show_result(result: RunResult, project: Project, *, command: str, as_json: bool) -> None:
    """What a run came to; the last lines tell where the card is and what to do next."""
    version = result.registered
    if as_json:
        show_json(
            {
                "run": result.run_id,
                "version": version.version if version else None,
                "digest": version.digest if version else None,
                "verdict": result.verdict,
                "reason": result.comparison.reason,
                "model": result.model,
                "metrics": {n: {"value": e.value, "low": e.low, "high": e.high} for n, e in result.metrics.items()},
                "gates": [{"name": g.name, "passed": g.passed, "sentence": g.sentence} for g in result.gates],
                "card": str(result.card),
            }
        )
        return
    console = _console()
    metrics = _table("Metric", "Value", "95 % interval", title=f"{result.model}, on the held-out rows")
    for name, estimate in sorted(result.metrics.items(), key=lambda item: item[0] != result.primary_metric):
        metrics.add_row(name, f"{estimate.value:.4g}", f"{estimate.low:.4g} to {estimate.high:.4g}")
    gates = _table("Gate", "", "Why", title="Gates")
    for gate in result.gates:
        gates.add_row(gate.name, "passed" if gate.passed else "failed", printable(gate.sentence))
    console.print(metrics)
    console.print(gates)
    champion = version is not None and "champion" in version.aliases
    number = version.version if version else "–"
    _line(console, f"Version {number} is registered; verdict: {result.verdict}, {result.comparison.reason}.")
    _line(console, f"Model card: {_shown(result.card, project.root)}")
    _line(console, f"Next: {command} serve" if champion else f"Next: {command} show {number}")


def show_runs(runs: Sequence[PastRun], *, command: str, as_json: bool) -> None:
    """The list of runs, the newest first."""
    if as_json:
        show_json([run.to_dict() for run in runs])
        return
    if not runs:
        sys.stdout.write(f"No run has ended yet. Next: {command} run\n")
        return
    table = _table("Run", "Version", "Model", "Primary metric", "Outcome")
    for run in runs:
        metric = run.report.get("primary_metric", "")
        value = run.report.get("metrics", {}).get(metric, {}).get("value")
        shown = f"{metric} {value:.4g}" if value is not None else metric
        table.add_row(
            run.run_id,
            str(run.version.version) if run.version else "–",
            run.report.get("model", ""),
            shown,
            run.outcome,
        )
    _console().print(table)


def show_run(run: PastRun, *, as_json: bool) -> None:
    """What made this model."""
    if as_json:
        show_json(run.to_dict())
        return
    console, report = _console(), run.report
    facts = _table("", "", title=f"Run {run.run_id}", header=False)
    for name, value in _facts(run).items():
        facts.add_row(name, printable(str(value)))
    console.print(facts)
    for section, title in (("metrics", "Metrics"), ("lineage", "Lineage")):
        table = _table("", "", title=title, header=False)
        for name, value in report.get(section, {}).items():
            table.add_row(name, printable(_short(value)))
        if table.row_count:
            console.print(table)
    gates = _table("Gate", "", "Why", title="Gates")
    for gate in report.get("gates", []):
        gates.add_row(gate["name"], "passed" if gate["passed"] else "failed", printable(gate["sentence"]))
    if gates.row_count:
        console.print(gates)


def show_releases(releases: Sequence[Release], *, command: str, as_json: bool) -> None:
    """Who has signed what, and who must still."""
    if as_json:
        show_json([_release(r) for r in releases])
        return
    if not releases:
        sys.stdout.write(f"No release yet. Next: {command} run\n")
        return
    table = _table("Version", "Digest", "Signed", "Still to sign", "State")
    for release in releases:
        signed = ", ".join(f"{a.role}: {a.by}" for a in release.approvals)
        state = "; ".join(release.problems) or ("approved" if release.approved else "waits")
        table.add_row(
            str(release.version), release.digest[:12], printable(signed), ", ".join(release.missing), printable(state)
        )
    _console().print(table)


def show_deployed(model: Deployed, *, command: str, as_json: bool) -> None:
    """Which model a stage has now."""
    if as_json:
        show_json({"stage": model.stage, "version": model.version, "digest": model.digest, "at": model.at})
        return
    console = _console()
    _line(console, f"Stage {model.stage} has version {model.version} ({model.digest[:12]}).")
    _line(console, f"Next: {command} serve --stage {model.stage}")


def show_scores(result: ScoreResult, *, as_json: bool) -> None:
    """What became of a batch."""
    if as_json:
        show_json(result.to_dict())
        return
    console = _console()
    _line(console, f"{result.scored} of {result.rows} rows scored by version {result.version}: {result.output}")
    if result.rejects is not None:
        _line(console, f"{result.rejected} rows break the data contract and were not scored: {result.rejects}")
        for reason, count in list(result.reasons.items())[:5]:
            _line(console, f"  {count} × {reason}")


def _facts(run: PastRun) -> dict[str, object]:
    report, version = run.report, run.version
    facts = {
        "version": f"{version.version} ({', '.join(version.aliases) or 'no alias'})" if version else None,
        "digest": version.digest if version else None,
        "refused": f"{run.refused}: {run.message}" if run.refused else None,
        "made at": report.get("made_at"),
        "model": report.get("model"),
        "chosen because": report.get("chosen_because"),
        "verdict": " – ".join(str(report["comparison"][k]) for k in ("verdict", "reason"))
        if "comparison" in report
        else None,
        "card": run.card,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
        return " ".join("–" if value[k] is None else f"{value[k]:.4g}" for k in ("value",)) + _interval(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


def _interval(value: Mapping[str, Any]) -> str:
    return "" if value["low"] is None else f" [{value['low']:.4g}, {value['high']:.4g}]"


def _release(release: Release) -> dict[str, Any]:
    return {
        "version": release.version,
        "digest": release.digest,
        "approved": release.approved,
        "approvals": [{"role": a.role, "by": a.by, "at": a.at, "comment": a.comment} for a in release.approvals],
        "missing": list(release.missing),
        "problems": list(release.problems),
        "file": str(release.path),
    }


def _console() -> Console:
    terminal = sys.stdout.isatty() or "FORCE_COLOR" in os.environ
    return Console(
        file=sys.stdout, width=None if terminal else _PLAIN_WIDTH, highlight=False, markup=False, emoji=False
    )


def _table(*columns: str, title: str = "", header: bool = True) -> Table:
    table = Table(title=Text(printable(title)), title_justify="left", show_header=header, box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _line(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)


def _shown(path: Path, root: Path) -> str:
    """A path as a person would type it: relative where it is under the working folder's project."""
    return str(path.relative_to(root)) if Path.cwd() == root and path.is_relative_to(root) else str(path)


def printable(text: str) -> str:
    """The text without control characters that would move the terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
