"""Estimate: the stage's programs run without a cloud, every resource priced; as lines for people, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ai_factory_infra.automation.programs import programs
from ai_factory_infra.automation.progress import kind_of
from ai_factory_infra.cost.items import items_of
from ai_factory_infra.cost.lines import Item
from ai_factory_infra.cost.price_table import SHIPPED, PriceTable, price_table

LEFT_OUT = (
    "data transfer, what passes through serverless endpoints, requests to S3, KMS, SNS, SQS, EventBridge, Lambda and Step Functions, volumes of "
    "endpoints and jobs, autoscaling beyond the machines it starts with, metrics that no alarm looks at, runs that drift or a person starts beside "
    "a schedule, free tiers, taxes, discounts, and whatever people run by hand"
)
RELEASE = "estimate"  # a model that is not there; without any there is no endpoint to price


@dataclass(frozen=True, slots=True)
class StackCost:
    """One stack's lines, and the types of resources that have no price here."""

    stack: str
    items: Sequence[Item]
    unknown: Sequence[str]

    @property
    def amount(self) -> float:
        """What is known of it, a month."""
        return sum(i.amount or 0.0 for i in self.items)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A whole stage."""

    stage: str
    region: str
    table: PriceTable
    stacks: Sequence[StackCost]
    supposed: Sequence[str]

    @property
    def amount(self) -> float:
        """What is known of the stage, a month."""
        return sum(s.amount for s in self.stacks)


def estimate(infra: Path, stage: str, prices: Path | None = None) -> Estimate:
    """Price a stage. `prices` wins over `infra/prices.yaml`, which wins over the shipped table.

    A stack that waits for its first release is priced as if there were one; the estimate says so.
    """
    from ai_factory_infra.testing import run_stage  # loads pulumi_aws: a second, and memory

    found = programs(infra, stage)
    table = price_table(prices or _own(infra), found[0].region)
    supposed = [p.stack for p in found if p.settings.get("release") == ""]
    stacks: list[StackCost] = []
    for stack, done in run_stage(infra, stage, config={s: {"release": RELEASE} for s in supposed}).items():
        real = [(r.type, r.name, r.inputs) for r in done.resources if r.type.startswith("aws:")]
        stacks.append(StackCost(stack, *items_of(real, table)))
    return Estimate(stage, found[0].region, table, stacks, supposed)


def _own(infra: Path) -> Path:
    own = infra / "prices.yaml"
    return own if own.exists() else SHIPPED


def text(e: Estimate) -> str:
    """The estimate for a terminal: a line a thing, sums by stack, what was assumed, and what is left out."""
    return "\n".join(_lines(e))


def _lines(e: Estimate) -> Iterator[str]:
    yield f"Stage {e.stage} in {e.region}, {e.table.currency} a month, prices of {e.table.as_of}"
    for s in e.stacks:
        yield f"\n{s.stack:<84} {s.amount:>12,.2f}"
        for group, lines in _grouped(s.items):
            yield f"  {group}"
            yield from (f"    {what:<48} {by:<31} {_money(amount)}" for what, by, amount in lines)
    yield f"\n{'all of it':<84} {e.amount:>12,.2f}"
    yield from _notes(e)


def _grouped(items: Sequence[Item]) -> Iterator[tuple[str, list[tuple[str, str, float | None]]]]:
    """Lines by group; ten alike (`by` and amount the same) are one, counted."""
    for group in dict.fromkeys(i.group for i in items):
        alike: dict[tuple[str, float | None], list[Item]] = {}
        for item in (i for i in items if i.group == group):
            alike.setdefault((item.by, item.amount), []).append(item)
        lines = []
        for (by, amount), same in alike.items():
            what = same[0].what if len(same) == 1 else f"{len(same)} like {same[0].what}"
            lines.append((what, by, None if amount is None else amount * len(same)))
        yield group, lines


def _notes(e: Estimate) -> Iterator[str]:
    table = e.table
    yield f"\nPrices: {table.source}; as of {table.as_of}, from {table.file}. Replace it: infra/prices.yaml."
    if table.region != e.region:
        yield f"The table has no prices of {e.region}: those of `{table.region}` are taken."
    if e.supposed:
        yield f"Priced as if a release were live in: {', '.join(e.supposed)}."
    yield "Assumed: " + ", ".join(f"{k} {v:g}" for k, v in table.assume.items()) + "."
    missing = sorted({i.by for s in e.stacks for i in s.items if i.amount is None})
    if missing:
        yield "Not in the table, so counted as nothing: " + "; ".join(missing) + "."
    unknown = sorted({kind_of(u) for s in e.stacks for u in s.unknown})
    if unknown:
        yield "Not estimated: " + ", ".join(unknown) + "."
    yield f"Left out: {LEFT_OUT}."


def _money(amount: float | None) -> str:
    return f"{'?':>12}" if amount is None else f"{amount:>12,.2f}"


def as_json(e: Estimate) -> str:
    """The estimate for a program."""
    stacks = {
        s.stack: {"amount": s.amount, "items": [asdict(i) for i in s.items], "unknown": s.unknown} for s in e.stacks
    }
    about = {"stage": e.stage, "region": e.region, "currency": e.table.currency, "as_of": str(e.table.as_of)}
    return json.dumps({**about, "amount": e.amount, "stacks": stacks, "left_out": LEFT_OUT}, indent=2)
