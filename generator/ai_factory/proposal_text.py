"""The lines of a proposed usecase.yaml, section by section, each guess with its reason in a comment.

Whatever text the file or the person gives is carried in quotes or on one line of a comment, so that nothing in it ends either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from ai_factory_spec.metrics import DEFAULT_METRIC, Task
from ai_factory_spec.source import quoted, scalar

from ai_factory.profile import ColumnProfile, Profile

_WIDTH = 110  # of a line of category values
_FEWEST_ROWS = 100  # asked for at most, so that a small window or a sample passes


@dataclass(frozen=True, slots=True)
class Choice:
    """The proposal's decisions: the guesses, with what a person said in their place."""

    target: str
    task: Task
    positive: str | None
    id: str | None
    time: str | None
    pii: tuple[tuple[str, str, str], ...]  # column, kind, why
    sensitive: tuple[str, ...]
    ignored: tuple[str, ...]


def head_lines(name: str, title: str, description: str, owner: str) -> Iterator[str]:
    """The file's first lines: what it is called, why it is built, how much harm it can do."""
    yield "# What this model is for, what its data must look like, and what it must reach. One page explains every section:"
    yield "# write-a-usecase.md. `ai-factory schema usecase` prints every field; all problems are reported at once."
    yield "apiVersion: ai-factory/v1"
    yield f"name: {scalar(name)}  # the folder, the package and the command are derived from it"
    yield f"title: {quoted(title)}"
    yield f"description: {quoted(description)}"
    yield f"owner: {quoted(owner)}  # who answers for the model: a name or an e-mail address"
    yield ""
    yield "# Why the model is built. Agree on it with the sponsor before the first run; the model card repeats it."
    yield "business:"
    yield '  driver: ""  # what changes when this works'
    yield '  sponsor: ""'
    yield "  consumers: []  # who uses the predictions"
    yield "  # kpi: {name: monthly churn, unit: '%', baseline: 4.2, target: 3.5}"
    yield ""
    yield "# low: internal convenience; medium: money or customers; high: people's rights or safety. Decides who must approve."
    yield "risk:"
    yield "  tier: medium"
    yield ""


def data_lines(profile: Profile, choice: Choice, source: str) -> Iterator[str]:
    """The section `data`, up to the contract."""
    roles = profile.roles
    yield "# Where the rows are and what the columns mean."
    yield "data:"
    yield f"  source: {scalar(PurePath(source).as_posix())}  # CSV or Parquet, relative to this file"
    yield f"  target: {scalar(choice.target)}"
    if choice.id is not None:
        yield f"  # Rows of one id stay together when the data is split.{_why(roles.id, choice.id)}"
        yield f"  id: {scalar(choice.id)}"
    if choice.time is not None:
        yield f"  # The model is judged on the newest rows.{_why(roles.time, choice.time)}"
        yield f"  time: {scalar(choice.time)}"
    if choice.sensitive:
        yield "  # The model card compares these groups; bound their difference in acceptance.fairness."
        yield "  sensitive:"
        yield from (f"    - {scalar(name)}" for name in choice.sensitive)
    if choice.pii:
        yield "  # Columns that identify a person are never features. drop: removed on read; hash: replaced by a keyed hash."
        yield "  pii:"
        for column, kind, why in choice.pii:
            yield f"    - column: {scalar(column)}"
            yield f"      kind: {kind}  # {_one_line(why)}"
            yield "      action: drop"
    if choice.ignored:
        yield "  # Read and checked, but no features: each names its row, and a model would learn it by heart."
        yield "  ignore:"
        yield from (f"    - {scalar(name)}" for name in choice.ignored)
    yield ""


def _why(guess: object, value: str) -> str:
    """The reason of a guess that was kept."""
    return (
        f" Inferred: {_one_line(getattr(guess, 'why', ''))}."
        if guess is not None and getattr(guess, "value", None) == value
        else ""
    )


def contract_lines(profile: Profile, choice: Choice) -> Iterator[str]:
    """The section `data.contract`, with what was observed beside what is asked."""
    target = profile.column(choice.target)
    yield f"  # What every read of the data is checked against, inferred from {profile.rows:,} rows. Narrow it where you know better."
    yield "  contract:"
    yield f"    min_rows: {max(1, min(profile.rows // 2, _FEWEST_ROWS))}  # fewer rows stop the run"
    if target.missing:
        yield f"    # {target.missing:,} rows have no target; they are set aside."
    bad = math.ceil(target.missing_share * 100) / 100 if target.missing else 0.0
    yield f"    max_bad_rows: {bad}  # the share of rows that may break the contract; they are set aside"
    for omitted in profile.left_out:
        yield f"    # Left out: {_in_comment(omitted.name)}; {_one_line(omitted.why)}."
    yield "    columns:"
    for column in profile.columns:
        yield from _column(column, choice)


def _column(column: ColumnProfile, choice: Choice) -> Iterator[str]:
    is_target = column.name == choice.target
    personal = any(column.name == name for name, _, _ in choice.pii)
    type_ = _target_type(column, choice.task) if is_target else column.type
    names_rows = column.name in (choice.id, *choice.ignored)
    if (personal or names_rows) and type_ == "category":
        type_ = "text"  # a person's data must not stand in the contract, and new ids will come
    yield f"      - name: {scalar(column.name)}"
    remark = "  # free text is no feature" if type_ == "text" and column.name not in _parts(choice) else ""
    yield f"        type: {type_}{remark}"
    if column.note:
        yield f"        # {_one_line(column.note)}"
    if column.missing and not is_target:
        yield f"        nullable: true  # {_percent(column.missing_share)} missing"
    if column.unique and names_rows:
        yield "        unique: true"
    if personal:
        return  # the file must not repeat a person's data
    if type_ in ("integer", "number") and not names_rows:
        yield from _bounds(column, whole=type_ == "integer")
    if type_ == "datetime":
        yield f"        # observed {_instant(column.minimum)} to {_instant(column.maximum)}"
    if type_ == "category":
        yield from _categories(column)


def _parts(choice: Choice) -> set[str | None]:
    return {choice.id, choice.time, *choice.ignored, *(name for name, _, _ in choice.pii)}


def _target_type(target: ColumnProfile, task: Task) -> str:
    if task == "regression":
        return "integer" if target.whole else "number"
    return "category"


def _bounds(column: ColumnProfile, *, whole: bool) -> Iterator[str]:
    low, high = column.minimum, column.maximum
    if not isinstance(low, float) or not isinstance(high, float) or not math.isfinite(high - low):
        return
    bounds = widened(low, high, whole=whole)
    for key, bound, observed in (("min", bounds[0], low), ("max", bounds[1], high)):
        if math.isfinite(bound):
            yield f"        {key}: {_number(bound, whole=whole)}  # observed {_number(observed, whole=whole)}"


def widened(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """The observed range, widened by half its width on both sides, rounded outwards to about three digits, never across zero."""
    half = (high - low) / 2
    least, most = low - half, high + half
    if half > 0 and (whole or half > 1e-250):
        step = 1.0 if whole else 10.0 ** (math.floor(math.log10(half)) - 2)
        if max(abs(least), abs(most)) / step < 2**53:
            least, most = _rounded(least, step, math.floor), _rounded(most, step, math.ceil)
    least, most = min(least, low), max(most, high)
    return max(least, 0.0) if low >= 0 else least, min(most, 0.0) if high <= 0 else most


def _rounded(value: float, step: float, towards: Callable[[float], int]) -> float:
    """The nearest multiple of a power of ten in a direction, without the noise of binary fractions."""
    return round(towards(value / step) * step, max(0, -math.floor(math.log10(step))))


def _number(value: float, *, whole: bool) -> str:
    """A number as YAML 1.1 reads it: 1.0e+16, not 1e+16."""
    if whole:
        return str(int(value))
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _instant(value: object) -> str:
    return str(value)


def _categories(column: ColumnProfile) -> Iterator[str]:
    shares = [
        f"{_in_comment(value)} {_percent(count / sum(n for _, n in column.values))}"
        for value, count in column.values[:5]
    ]
    yield f"        # {', '.join(shares)}{f' and {len(column.values) - 5:,} more' if len(column.values) > 5 else ''}"
    yield from _flow("        categories: ", (quoted(value) for value in sorted(value for value, _ in column.values)))


def _flow(prefix: str, items: Iterable[str]) -> Iterator[str]:
    """A list in brackets, broken into lines where it is long."""
    line = f"{prefix}["
    first = True
    for item in items:
        if not first:
            line += ","
            if len(line) + len(item) > _WIDTH:
                yield line
                line = " " * (len(prefix) + 1) + item
                continue
            line += " "
        line += item
        first = False
    yield f"{line}]"


def model_lines(profile: Profile, choice: Choice) -> Iterator[str]:
    """The section `model`."""
    yield ""
    yield "# What is learned."
    yield "model:"
    yield f"  task: {choice.task}  # {_reason(profile.roles.task, choice.task)}"
    if choice.positive is not None:
        yield f"  positive: {quoted(choice.positive)}  # the class of interest; {_reason(profile.roles.positive, choice.positive)}"
    yield f"  # metric: {DEFAULT_METRIC[choice.task]}  # picks the best candidate; this is the default"
    yield "  candidates: [linear, random_forest, gradient_boosting]"
    yield "  test_size: 0.2  # the share of rows held out for evaluation"
    yield ""


def _reason(guess: object, value: str) -> str:
    kept = guess is not None and getattr(guess, "value", None) == value
    return _one_line(getattr(guess, "why", "")) if kept else "given"


def rest_lines(choice: Choice) -> Iterator[str]:
    """What a data file says nothing of: the defaults, explained."""
    metric = DEFAULT_METRIC[choice.task]
    bound = "{max: 10.0}" if choice.task == "regression" else "{min: 0.8}"
    yield "# What a model must reach before it is registered. Beating the dummy baseline, with a 95 % interval that excludes it, is"
    yield "# always asked. Add the numbers you agreed on."
    yield "acceptance:"
    yield f"  metrics: {{}}  # e.g. {{{metric}: {bound}}}"
    if choice.sensitive:
        yield "  # fairness: {max_error_difference: 0.1}"
    yield "  # robustness: {max_drop: 0.2}"
    yield "  # latency: {p99_ms: 200}"
    yield ""
    yield "# What is built: blueprints. `ai-factory blueprints list` shows them, `ai-factory plan` says which need each other."
    yield "architecture: realtime  # or batch, streaming"
    yield "pipelines: [training, batch-scoring, monitoring]"
    yield "stacks: [foundation, registry, training, serving, monitoring]"
    yield "approval: standard"
    yield "ci: github"
    yield ""
    yield "# Where the model runs, stage after stage, and how a new version meets traffic."
    yield "deployment:"
    yield "  stages: [dev, staging, prod]"
    yield "  rollout: {strategy: all-at-once}  # or canary, linear"
    yield ""
    yield "# What is watched once the model runs. Schedules are cron expressions in UTC."
    yield "monitoring:"
    yield '  schedule: "0 6 * * *"'
    yield "  retraining: {on_drift: true, cooldown_hours: 24}"
    yield ""
    yield "# Where `pulumi up` puts it; nothing here is needed on a laptop. Account numbers need quotes."
    yield "cloud:"
    yield "  region: eu-west-1"
    yield '  accounts: {}  # {dev: "111122223333", staging: "444455556666", prod: "777788889999"}'
    yield ""
    yield "# US dollars a month and stage; the limit of the budget alarm."
    yield "cost:"
    yield "  monthly_budget: 200.0"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _in_comment(text: str) -> str:
    """A text in quotes, on one line, short."""
    return quoted(text if len(text) <= 60 else f"{text[:59]}…")


def _one_line(text: str) -> str:
    """A sentence of ours that carries a file's text: nothing in it ends the comment."""
    return "".join(c if c.isprintable() else " " for c in text)
