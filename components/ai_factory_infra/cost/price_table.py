"""PriceTable: prices of one region and what is assumed of use, read from YAML; all problems at once."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ai_factory_infra.errors import PriceTableInvalid

SHIPPED = Path(__file__).with_name("prices.yaml")
OTHER = "other"
INSTANCES = "ml_instance_hour"
DIVIDES = ("hours_per_month", "stream_record_kb")  # what stored gigabytes and records are counted by


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices in `currency`; `unit` by the names of prices.yaml, `instance_hour` by machine. `region` is whose they are."""

    file: Path
    as_of: datetime.date
    currency: str
    source: str
    region: str
    instance_hour: Mapping[str, float]
    unit: Mapping[str, float]
    assume: Mapping[str, float]


def price_table(file: Path, region: str) -> PriceTable:
    """The table's prices for a region, or those of `other`. Raises PriceTableInvalid, naming every problem by its path.

    It is held against the table that is shipped: what is priced and assumed there must be priced and assumed in each.
    """
    whole, pattern = _read(file), _read(SHIPPED)
    problems: list[str] = []
    as_of = whole.get("as_of")
    if not isinstance(as_of, datetime.date):
        problems.append(f"as_of: got {as_of!r}; allowed: a date such as 2025-06-01")
    problems += [f"{key}: missing; a text is needed" for key in ("currency", "source") if not whole.get(key)]
    assume = _numbers(whole.get("assume"), pattern["assume"], "assume", problems)
    problems += [f"assume.{name}: got 0; allowed: a number above 0" for name in DIVIDES if assume.get(name) == 0]
    regions = whole.get("regions") if isinstance(whole.get("regions"), dict) else {}
    chosen = region if region in (regions or {}) else OTHER
    if not regions or chosen not in regions:
        problems.append(f"regions: neither {region} nor {OTHER} is there")
        raise PriceTableInvalid(file=str(file), problems=problems)
    wanted = {k: v for k, v in pattern["regions"][OTHER].items() if k != INSTANCES}
    given = regions[chosen] if isinstance(regions[chosen], dict) else {}
    unit = _numbers({k: v for k, v in given.items() if k != INSTANCES}, wanted, f"regions.{chosen}", problems)
    machines = _numbers(given.get(INSTANCES), {}, f"regions.{chosen}.{INSTANCES}", problems)
    if problems or not isinstance(as_of, datetime.date):
        raise PriceTableInvalid(file=str(file), problems=problems)
    return PriceTable(file, as_of, str(whole["currency"]), str(whole["source"]), chosen, machines, unit, assume)


def _read(file: Path) -> dict[str, Any]:
    try:
        whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PriceTableInvalid(file=str(file), problems=[str(error)]) from error
    if not isinstance(whole, dict):
        raise PriceTableInvalid(file=str(file), problems=["it holds no mapping"])
    return whole


def _numbers(given: object, wanted: Mapping[str, Any], path: str, problems: list[str]) -> dict[str, float]:
    """Every value a number of at least 0, every wanted name there."""
    values = given if isinstance(given, dict) else {}
    problems += [f"{path}.{name}: missing; a number is needed" for name in wanted if name not in values]
    out: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            problems.append(f"{path}.{name}: got {value!r}; allowed: a number from 0")
        else:
            out[str(name)] = float(value)
    return out
