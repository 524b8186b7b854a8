"""What the fields of `data` must agree on: columns with their types, roles with columns, sources with queries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ai_factory_spec.bounds import Bound, as_bound
from ai_factory_spec.findings import NO_FEATURE_TYPES, SUGGESTIONS, Finding, has_password, listed, twice
from ai_factory_spec.paths import Path, dotted
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.view import View


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
    yield from twice(column, "categories", "the value")
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
    yield from _source_agrees(data)
    yield from _freshness_agrees(data)
    for key in ("sensitive", "ignore"):
        yield from twice(data, key, "the column")
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


def names_database(source: str) -> bool:
    """Whether a source is a database: an address with a scheme other than s3, or $NAME."""
    return source.startswith("$") or ("://" in source and not source.startswith("s3://"))


def _source_agrees(data: View) -> Iterator[Finding]:
    """A query goes with a database, and no password stands in the file."""
    source = data.text("source")
    if source is None:
        return
    if has_password(source):
        yield Finding(
            data.at("source"), "a password stands in the address; this file is kept in git",
            "put the address in an environment variable and write source: $NAME",
        )  # fmt: skip
    if source.startswith("$") and not _VARIABLE.fullmatch(source):
        yield Finding(data.at("source"), f"{source!r} names no environment variable", "e.g. $CHURN_DATABASE")
    if source.startswith("s3://") and not _S3.fullmatch(source):
        yield Finding(data.at("source"), f"{source!r} names no bucket and key", "e.g. s3://bucket/churn/2024/")
    if names_database(source) and data.absent("query"):
        yield Finding(data.at("query"), "a database needs a query", 'e.g. query: "SELECT * FROM customers"')
    if not names_database(source) and not data.absent("query") and data.known("query"):
        yield Finding(data.at("query"), "fits only a database", "remove it, or name a database in source")


_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+")


def _freshness_agrees(data: View) -> Iterator[Finding]:
    contract = data.section("contract")
    if contract.number("max_age_days") is None or not data.known("time"):
        return
    time = data.text("time")
    kinds = {c.text("name"): c.text("type") for c in contract.sections("columns")}
    if time is None:
        yield Finding(contract.at("max_age_days"), "needs `data.time`: which column tells a row's age")
    elif kinds.get(time) not in (None, "datetime"):
        yield Finding(contract.at("max_age_days"), f"{time!r} is of type {kinds[time]}; an age needs a datetime")


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
    hint = f"columns: {listed(known)}" if unknown else ""
    for i, (path, name) in enumerate(unknown):
        meant = did_you_mean(name, known) if i < SUGGESTIONS else ""
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
                "use action: hash or tokenise",
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
