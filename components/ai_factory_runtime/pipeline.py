"""The training pipeline, from the project's rows to a registered model: read this file as its table of contents.

A run is alone in its project (a lock), writes to a folder that gets its name only at the end, and registers last. What a
kill leaves half-done is either invisible to the next run or finished by it.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.errors import FactoryError
from joblib import parallel_config
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ai_factory_runtime import gates as gate
from ai_factory_runtime.atomic import replacing, write_atomically
from ai_factory_runtime.card import SECTIONS, CardFacts, DataFacts, render_html, render_markdown
from ai_factory_runtime.comparison import Comparison, Verdict, compare, without_champion
from ai_factory_runtime.contract import examine, require
from ai_factory_runtime.errors import (
    ContractBroken,
    DataUnreadable,
    GateFailed,
    LeakageFound,
    ModelUnusable,
    ProjectCodeFailed,
    WriteFailed,
)
from ai_factory_runtime.evaluation import Estimate, Judged, estimates, gain
from ai_factory_runtime.frames import to_canonical
from ai_factory_runtime.gates import GateResult, Measured
from ai_factory_runtime.history import REFUSED
from ai_factory_runtime.inspection import calibration, damages, groups, importances, latency
from ai_factory_runtime.leakage import find_leaks
from ai_factory_runtime.lineage import Lineage, trace
from ai_factory_runtime.models import baseline_metric
from ai_factory_runtime.package import (
    CARD_HTML,
    CARD_MARKDOWN,
    LINEAGE,
    METRICS,
    ModelPackage,
    load_package,
    model_fingerprint,
    predict,
    write_package,
)
from ai_factory_runtime.pii import protect, read_key
from ai_factory_runtime.project import Project
from ai_factory_runtime.registry import CHALLENGER, CHAMPION, ModelVersion, Registry, open_registry
from ai_factory_runtime.report import REPORT, metrics_document, report_document, to_json
from ai_factory_runtime.runs import exclusive, new_run_id
from ai_factory_runtime.split import Split, split
from ai_factory_runtime.training import Trained, target_of, train

STEPS = ("read", "contract", "split", "leakage", "train", "evaluate", "gates", "compare", "card", "package", "register", "deploy")  # fmt: skip
QUARANTINE = "quarantine.csv"
REFERENCE_ROWS = 50
# With fewer rows a second thread gains nothing, and on a busy machine the threads wait for each other.
ONE_THREAD_BELOW = 20_000

Progress = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to. `folder` holds its report and card."""

    run_id: str
    registered: ModelVersion | None
    verdict: Verdict
    gates: tuple[GateResult, ...]
    folder: Path
    comparison: Comparison
    metrics: Mapping[str, Estimate]
    model: str
    primary_metric: str

    @property
    def card(self) -> Path:
        """The model card's page."""
        return self.folder / CARD_HTML


@dataclass(frozen=True)
class _Rows:
    """Protected, canonical rows, how they are split, and what became of the others."""

    frame: pd.DataFrame
    split: Split
    facts: DataFacts


@dataclass(frozen=True)
class _Evaluated:
    """A trained model and everything measured on the held-out rows."""

    trained: Trained
    judged: Judged
    baseline: dict[str, Estimate]
    measured: Measured
    extras: dict[str, Any]


def run(project: Project, *, progress: Progress | None = None) -> RunResult:
    """Train, gate and register one model. `progress` is told each step of STEPS, and a detail, as it begins.

    Raises GateFailed, LeakageFound, ContractBroken (nothing is registered; the run's folder says why), DataUnreadable,
    DataUnusable, ProjectCodeFailed, PiiKeyMissing, WriteFailed, RunLocked, RegistryUnavailable.
    """
    say: Progress = progress or (lambda _step, _detail: None)
    run_id, made_at = new_run_id()
    with exclusive(project, run_id), _run_folder(project, run_id) as folder:
        registry = open_registry(project)
        finish_interrupted(project, registry)
        rows = _prepare(project, folder, say)
        with _threads(len(rows.frame)):
            evaluated = _train_and_evaluate(project, rows, say)
        say("gates", "")
        results = gate.judge(evaluated.measured, project.usecase)
        say("compare", "")
        comparison = _compare(project, registry, rows, evaluated, passed=all(r.passed for r in results))
        say("card", "")
        lineage = trace(project, rows.frame)
        facts = _card_facts(project, run_id, made_at, rows, evaluated, results, comparison, lineage)
        documents, results = _documents(facts)
        for name, body in {REPORT: to_json(report_document(facts, results)), **documents}.items():
            write_atomically(folder / name, body)
        failed = [r for r in results if not r.passed]
        if failed:
            raise GateFailed(results=failed, card=project.runs / run_id / CARD_HTML)
        say("package", evaluated.trained.name)
        package = _package(project, run_id, rows, evaluated, documents)
        say("register", "")
        version = _register(registry, package, run_id, evaluated, comparison)
        say("deploy", f"version {version.version}")
        version = settle(project, registry, version)
    return RunResult(
        run_id=run_id,
        registered=version,
        verdict=comparison.verdict,
        gates=tuple(results),
        folder=project.runs / run_id,
        comparison=comparison,
        metrics=evaluated.measured.metrics,
        model=evaluated.trained.name,
        primary_metric=project.usecase.model.primary_metric,
    )


def settle(project: Project, registry: Registry, version: ModelVersion) -> ModelVersion:
    """Give a registered version what its verdict earned: alias, release record, stage dev. Doing it twice changes nothing."""
    from ai_factory_runtime.release import open_release
    from ai_factory_runtime.stages import DEV, deploy

    promoted = dict(version.tags)["verdict"] == "promote"
    registry.set_alias(CHAMPION if promoted else CHALLENGER, version.version)
    if promoted:
        open_release(project, version)
        deploy(project, DEV, version=version.version, digest=version.digest, folder=version.folder)
    registry.set_tag(version.version, "settled", "yes")
    return registry.get(version.version)


def finish_interrupted(project: Project, registry: Registry) -> None:
    """Settle the newest version if the run that registered it was stopped before it could."""
    versions = registry.versions()
    if versions and "settled" not in dict(versions[-1].tags) and versions[-1].folder.is_dir():
        settle(project, registry, versions[-1])


def _prepare(project: Project, folder: Path, say: Progress) -> _Rows:
    """Read, hold against the contract, protect personal data, split, look for leaks."""
    usecase, data = project.usecase, project.usecase.data
    key = read_key(data.pii)
    say("read", data.source)
    raw = _load(project)
    say("contract", f"{len(raw)} rows")
    examined = examine(raw, data.contract, hidden={rule.column for rule in data.pii})
    if len(examined.set_aside):
        quarantined = protect(examined.set_aside, data.pii, key)
        with replacing(folder / QUARANTINE) as partial:
            quarantined.to_csv(partial, index_label="row")
    require(examined, data.contract)
    frame = protect(examined.good, data.pii, key, keep_apart=data.id)
    say("split", f"{len(frame)} rows")
    found = split(frame, usecase)
    say("leakage", f"{len(data.features)} features")
    leaks = find_leaks(frame, usecase, found)
    if leaks:
        raise LeakageFound(leaks=leaks)
    facts = DataFacts(
        read=len(raw),
        set_aside=len(examined.set_aside),
        learned_from=len(found.development),
        held_out=len(found.test),
        how=found.how,
    )
    return _Rows(frame, found, facts)


def _train_and_evaluate(project: Project, rows: _Rows, say: Progress) -> _Evaluated:
    usecase = project.usecase
    say("train", "")
    features = _call("features.py: build", project.hooks.features, usecase)
    candidates = _call("model.py: candidates", project.hooks.candidates, usecase)
    trained = train(rows.frame, usecase, rows.split, features, candidates, on_candidate=lambda name: say("train", name))
    say("evaluate", trained.name)
    test, seed, primary = rows.split.test, usecase.model.seed, usecase.model.primary_metric
    held_out = rows.frame.iloc[test].reset_index(drop=True)
    truth = target_of(held_out, usecase)
    unit = rows.split.unit[test] if rows.split.how == "entity" else None

    def answer(frame: pd.DataFrame) -> Any:
        return predict(trained.estimator, trained.signature, frame)

    judged = Judged(truth, answer(held_out), trained.signature, unit)
    blind = Judged(truth, predict(trained.baseline, trained.signature, held_out), trained.signature, unit)
    against = baseline_metric(primary)
    sensitive = held_out[[c for c in usecase.data.sensitive if c in held_out.columns]]
    with _threads(1):  # as the endpoint answers
        took = latency(trained.estimator, trained.signature, held_out)
    measured = Measured(
        metrics=estimates(judged, seed),
        baseline_metric=against,
        gain=gain(against, judged, blind, seed),
        groups=groups(primary, judged, sensitive),
        damages=damages(against, answer, held_out, truth, trained.signature, baseline=blind.prediction, seed=seed),
        latency=took,
    )
    extras = {
        "calibration": calibration(judged),
        "importances": importances(primary, answer, held_out, truth, trained.signature, seed),
    }
    return _Evaluated(trained, judged, estimates(blind, seed), measured, extras)


def _compare(project: Project, registry: Registry, rows: _Rows, evaluated: _Evaluated, *, passed: bool) -> Comparison:
    """Meet the champion on the same held-out rows. A champion that can no longer answer is replaced, and the reason says so."""
    if not passed:
        return Comparison("keep", "a gate failed, so the model met no champion")
    champion = registry.champion()
    if champion is None:
        return without_champion("there is no champion yet")
    name = f"champion version {champion.version}"
    if not champion.folder.is_dir():
        return without_champion(f"the files of {name} are gone")
    try:
        package = load_package(champion.folder, digest=champion.digest, trusted_package=project.package)
    except ModelUnusable as error:
        return without_champion(f"{name} cannot be used any more: {error}")
    answers = _answers_of(package, rows, evaluated.trained)
    if isinstance(answers, str):
        return without_champion(f"{name} {answers}")
    model = project.usecase.model
    return compare(evaluated.judged, answers, metric=model.primary_metric, version=champion.version, seed=model.seed)


def _answers_of(champion: ModelPackage, rows: _Rows, trained: Trained) -> Judged | str:
    """The champion's answers to the held-out rows, or why it has none."""
    theirs, ours = champion.signature, trained.signature
    if (theirs.task, theirs.target.name, theirs.classes) != (ours.task, ours.target.name, ours.classes):
        return "answers another question (the target or its classes changed)"
    try:
        held_out = to_canonical(rows.frame.iloc[rows.split.test], theirs.features)
    except ContractBroken:
        return "needs columns that the data contract no longer has"
    unit = rows.split.unit[rows.split.test] if rows.split.how == "entity" else None
    truth = rows.frame[ours.target.name].iloc[rows.split.test]
    plain = truth.to_numpy(dtype=np.float64 if ours.task == "regression" else object)
    return Judged(plain, champion.predict(held_out), ours, unit)


def _card_facts(
    project: Project,
    run_id: str,
    made_at: dt.datetime,
    rows: _Rows,
    evaluated: _Evaluated,
    results: tuple[GateResult, ...],
    comparison: Comparison,
    lineage: Lineage,
) -> CardFacts:
    return CardFacts(
        usecase=project.usecase,
        run_id=run_id,
        made_at=made_at,
        data=rows.facts,
        trained=evaluated.trained,
        measured=evaluated.measured,
        baseline=evaluated.baseline,
        gates=results,
        comparison=comparison,
        lineage=lineage,
        **evaluated.extras,
    )


def _documents(facts: CardFacts) -> tuple[dict[str, bytes], tuple[GateResult, ...]]:
    """The evidence, and the gates with the card's own among them."""
    markdown, html = render_markdown(facts), render_html(facts)
    results = (*facts.gates, gate.model_card(markdown, html, SECTIONS))
    documents = {
        METRICS: to_json(metrics_document(facts, results)),
        LINEAGE: to_json(facts.lineage),
        CARD_MARKDOWN: markdown.encode(),
        CARD_HTML: html.encode(),
    }
    return documents, results


def _package(
    project: Project, run_id: str, rows: _Rows, evaluated: _Evaluated, documents: Mapping[str, bytes]
) -> ModelPackage:
    """Write the model package and load it as production will: a model that cannot be loaded is not registered."""
    from ai_factory_runtime.sketch import build_sketch

    trained, folder = evaluated.trained, project.models / run_id
    held_out = rows.frame.iloc[rows.split.test].reset_index(drop=True)
    # Predictions for rows the model was not fitted on: those for its own training rows are too sure of themselves.
    sketch = build_sketch(rows.frame, trained.signature.features, evaluated.judged.prediction)
    digest = write_package(
        folder,
        estimator=trained.estimator,
        signature=trained.signature,
        sketch=sketch.to_json(),
        reference=held_out.head(REFERENCE_ROWS),
        documents=documents,
    )
    try:
        return load_package(folder, digest=digest, trusted_package=project.package)
    except FactoryError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _register(
    registry: Registry, package: ModelPackage, run_id: str, evaluated: _Evaluated, comparison: Comparison
) -> ModelVersion:
    tags = {
        "verdict": comparison.verdict,
        "model": evaluated.trained.name,
        "fingerprint": model_fingerprint(package.folder),
    }
    metrics = {name: e.value for name, e in evaluated.measured.metrics.items() if np.isfinite(e.value)}
    return registry.register(package.folder, digest=package.digest, run_id=run_id, tags=tags, metrics=metrics)


def _load(project: Project) -> pd.DataFrame:
    frame = _call("data.py: load", project.hooks.load, project.usecase, project.root)
    if not isinstance(frame, pd.DataFrame):
        raise ProjectCodeFailed(
            where="data.py: load", problem=f"it returned a {type(frame).__name__}, not a pandas DataFrame"
        )
    if frame.empty:
        raise DataUnreadable(path=project.usecase.data.source, problem="it has no rows")
    return frame


def _call(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the project's own code; what it raises is told with its place."""
    try:
        return function(*arguments)
    except FactoryError:
        raise
    except Exception as error:
        text = str(error).strip() or "no message"
        raise ProjectCodeFailed(where=where, problem=f"{type(error).__name__}: {text.splitlines()[0]}") from error


def _sweep(project: Project) -> None:
    """Remove what killed runs left half-written; it has no name that anything reads. The lock says that no run is at work."""
    for folder in (project.artifacts, project.runs, project.models):
        for left in folder.glob(".*.partial*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


@contextmanager
def _threads(rows: int) -> Iterator[None]:
    """One thread for a small table, all processors for a large one; no setting of it stays in the fitted model."""
    small = rows < ONE_THREAD_BELOW
    with (
        threadpool_limits(limits=1 if small else None),
        parallel_config(backend="threading", n_jobs=1 if small else -1),
    ):
        yield


@contextmanager
def _run_folder(project: Project, run_id: str) -> Iterator[Path]:
    """The run's folder: it gets its name when the run ends or is refused; a refusal leaves its reason there."""
    partial, final = project.runs / f".{run_id}.partial", project.runs / run_id
    try:
        _sweep(project)
        partial.mkdir(parents=True)
    except OSError as error:
        raise WriteFailed(path=partial, problem=error.strerror or str(error)) from error
    try:
        yield partial
    except FactoryError as error:
        refusal = {"run": run_id, "refused": error.slug, "message": str(error), "hint": error.hint}
        write_atomically(partial / REFUSED, to_json(refusal))
        partial.rename(final)
        raise
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(final)
