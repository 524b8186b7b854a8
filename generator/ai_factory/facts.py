"""UseCase -> facts: the only values templates see, every one a text that is safe where its name says it may stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

import ai_factory_spec.naming as naming
from ai_factory_spec.usecase import STAGES, Latency, UseCase

__all__ = ["FACTS", "facts", "json_text", "markdown_line", "markdown_text", "toml_text"]

FACTS: Mapping[str, str] = {
    "project_slug": "The repository's folder and distribution name.",
    "package": "The import package under src/.",
    "command": "The project's own command.",
    "title_markdown": "The title, escaped for one line of Markdown.",
    "description_markdown": "The description, escaped for Markdown paragraphs.",
    "owner_markdown": "The owner, escaped for one line of Markdown.",
    "title_toml": "The title as a TOML string, quotes included.",
    "title_json": "The title as a JSON string, quotes included; valid in YAML and Python too.",
    "usecase_table_markdown": "What the use case is, as a Markdown table.",
    "task": "binary, multiclass or regression.",
    "architecture": "The reference architecture's name.",
    "approval": "The approval workflow's name.",
    "ci": "The continuous integration's name.",
    "risk_tier": "low, medium or high.",
    "pipelines": "The pipelines' names in plan order, separated by spaces.",
    "stacks": "The stacks' names in plan order, separated by spaces.",
    "stages": "The stages in order, separated by spaces.",
    "region": "The AWS region.",
    "account_dev": "The AWS account of dev, or nothing.",
    "account_staging": "The AWS account of staging, or nothing.",
    "account_prod": "The AWS account of prod, or nothing.",
    "registry_account": "The AWS account of the shared registry, or nothing.",
    "registry_stage": "The stage whose stack makes the shared registry, or nothing: somebody else keeps it, or none is shared.",
    "stage_accounts": "The AWS accounts of the stages, such as dev=111122223333,prod=444455556666.",
    "repository": "Where the repository is hosted, such as github.com/acme/churn, or nothing.",
    "state_backend": "Where Pulumi keeps its state, as an address; nothing for Pulumi Cloud.",
    "serving_mode": "realtime, serverless or async.",
    "serverless_memory_mb": "A serverless endpoint's memory.",
    "serverless_max_concurrency": "How many requests a serverless endpoint answers at once.",
    "monthly_budget": "US dollars a month and stage.",
    "monitor_schedule": "When the monitor runs: five cron fields, UTC.",
    "remote_rows": "true where the rows come from a bucket or a database, else false.",
    "remote_registry": "true where the registry is a server, else false.",
    "retrain_schedule": "When retraining runs as well: five cron fields, UTC, or nothing.",
    "retrain_on_drift": "true or false.",
    "cooldown_hours": "Hours between two retraining runs that drift started.",
    "rollout_strategy": "all-at-once, shadow, canary, linear or ab.",
    "rollout_step_percent": "The share of traffic of a rollout's step.",
    "rollout_wait_minutes": "Minutes between a rollout's steps.",
    "rollout_max_error_rate": "Failed requests a new version may have.",
    "p99_ms": "How many milliseconds the 99th percentile of an answer may take.",
    "factory_version": "The version of ai-factory that composes the repository.",
}


def facts(usecase: UseCase, *, pipelines: Iterable[str], stacks: Iterable[str], factory_version: str) -> dict[str, str]:
    """The value of every name in `FACTS`. `pipelines` and `stacks` are what the plan chose, which may be more than was asked."""
    slug = naming.slug(usecase.name)
    title = usecase.title.strip() or usecase.name
    rollout, serving, monitoring = usecase.deployment.rollout, usecase.deployment.serving, usecase.monitoring
    return {
        "project_slug": slug,
        "package": naming.package_name(slug),
        "command": naming.command_name(slug),
        "title_markdown": markdown_line(title),
        "description_markdown": markdown_text(usecase.description),
        "owner_markdown": markdown_line(usecase.owner),
        "title_toml": toml_text(title),
        "title_json": json_text(title),
        "usecase_table_markdown": _table(usecase),
        "task": usecase.model.task,
        "architecture": usecase.architecture,
        "approval": usecase.approval,
        "ci": usecase.ci,
        "risk_tier": usecase.risk.tier,
        "pipelines": " ".join(pipelines),
        "stacks": " ".join(stacks),
        "stages": " ".join(usecase.deployment.stages),
        "region": usecase.cloud.region,
        **{f"account_{stage}": usecase.cloud.accounts.get(stage, "") for stage in STAGES},
        "registry_account": usecase.cloud.registry_account or "",
        "registry_stage": _registry_stage(usecase),
        "stage_accounts": ",".join(f"{stage}={account}" for stage, account in _accounts(usecase).items()),
        "repository": usecase.cloud.repository,
        "state_backend": usecase.cloud.state,
        "serving_mode": serving.mode,
        "serverless_memory_mb": str(serving.memory_mb),
        "serverless_max_concurrency": str(serving.max_concurrency),
        "monthly_budget": _number(usecase.cost.monthly_budget),
        "monitor_schedule": " ".join(monitoring.schedule.split()),
        "remote_rows": _flag(_is_remote(usecase.data.source)),
        "remote_registry": _flag(usecase.tracking.address.partition(":")[0] not in ("", "sqlite")),
        "retrain_schedule": " ".join(monitoring.retraining.schedule.split()),
        "retrain_on_drift": _flag(monitoring.retraining.on_drift),
        "cooldown_hours": str(monitoring.retraining.cooldown_hours),
        "rollout_strategy": rollout.strategy,
        "rollout_step_percent": str(rollout.step_percent),
        "rollout_wait_minutes": str(rollout.wait_minutes),
        "rollout_max_error_rate": _number(rollout.max_error_rate),
        "p99_ms": _number(_p99_ms(usecase)),
        "factory_version": factory_version,
    }


def _accounts(usecase: UseCase) -> dict[str, str]:
    """Stage -> account, of the stages that are asked for and whose account is told."""
    told = usecase.cloud.accounts
    return {stage: told[stage] for stage in STAGES if stage in usecase.deployment.stages and stage in told}


def _registry_stage(usecase: UseCase) -> str:
    """The last of the stages in whose account the shared registry is: the others' stacks come and go more often."""
    shared = usecase.cloud.registry_account
    here = [stage for stage, account in _accounts(usecase).items() if account == shared]
    return here[-1] if here else ""


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _is_remote(source: str) -> bool:
    """A bucket's or a server's address, or the variable that holds one; a SQLite file is a file."""
    return source.startswith("$") or source.partition("://")[0] not in (source, "sqlite")


def _p99_ms(usecase: UseCase) -> float:
    """The rollout's own bound, else the one asked of a new model, else that bound's default."""
    asked = usecase.deployment.rollout.max_p99_ms
    return asked if asked is not None else (usecase.acceptance.latency or Latency()).p99_ms


# JSON escapes these only when asked to; YAML refuses them raw, or takes them for line ends.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def json_text(text: str) -> str:
    """A JSON string literal that YAML and Python read as the same text."""
    return _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))


def toml_text(text: str) -> str:
    """A TOML basic string literal. Every escape of `json_text` means the same in TOML."""
    return json_text(text)


_ACTIVE = re.compile(r"[\\`*_\[\]<>|~$#!^]")
_LINE_START = re.compile(r"^(\s*)(?:([-+=])|(\d{1,9})([.)]))(?=\s|[-+=]|$)")
_EMOJI = re.compile(r":(?=[\w+-]+:)")
_SPACE = re.compile(r"\s+")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def markdown_line(text: str) -> str:
    """The text as one line that Markdown shows letter for letter: in a heading, a sentence or a table cell."""
    return _escape_markdown(_SPACE.sub(" ", text).strip())


def markdown_text(text: str) -> str:
    """The text as Markdown paragraphs: line ends and blank lines stay, nothing in it becomes markup."""
    lines = (_escape_markdown(line.strip()) for line in text.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _escape_markdown(line: str) -> str:
    line = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", line)
    line = _ACTIVE.sub(r"\\\g<0>", line).replace("&", "&amp;")
    line = _EMOJI.sub(r"\\:", line)
    return _LINE_START.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", line)


def _table(usecase: UseCase) -> str:
    kpi = usecase.business.kpi
    rows = [
        ("Predicts", f"{markdown_line(usecase.data.target)} ({usecase.model.task})"),
        ("Class of interest", markdown_line(usecase.model.positive or "")),
        ("Owner", markdown_line(usecase.owner)),
        ("Sponsor", markdown_line(usecase.business.sponsor)),
        ("Driver", markdown_line(usecase.business.driver)),
        (
            "KPI",
            markdown_line(f"{kpi.name}: from {_number(kpi.baseline)} to {_number(kpi.target)} {kpi.unit}")
            if kpi
            else "",
        ),
        ("Consumers", ", ".join(markdown_line(c) for c in usecase.business.consumers)),
        ("Risk tier", usecase.risk.tier),
        ("Chosen by", usecase.model.primary_metric),
    ]
    cells = [f"| {name} | {value} |" for name, value in rows if value]
    return "\n".join(["| | |", "|---|---|", *cells])


def _number(value: float) -> str:
    """A number the way a person writes it: no exponent, no trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:.0f}"
