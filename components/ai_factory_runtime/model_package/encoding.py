"""Encoding: a fitted feature transformer as a few array operations, for rows that hold to the contract.

scikit-learn's transformer checks names, types and shapes anew for every call, milliseconds for one row. What it computes
is little: numbers are imputed and scaled by fixed statistics, and a category or boolean, which takes one of a few values,
always becomes the same numbers: those that the fitted transformer itself gives for each value, looked up from a table.
Anything else is refused (NotEncodable), and `accelerator` compares the outcome with the transformer's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_factory_spec.usecase import Column
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from ai_factory_runtime.data.rows import Floats, Layout, Rows
from ai_factory_runtime.data.screening import NUMBERS

MOST_VALUES = 10_000  # of all categories of a transformer together; the table would be too large to be quick

Step = Callable[[Floats], Floats]


class NotEncodable(Exception):  # noqa: N818 - an expected outcome with its reason
    """Why a transformer is left to scikit-learn."""


@dataclass(frozen=True, slots=True)
class _NumberBlock:
    """Numeric columns, by their positions in `Rows.numbers`, and what is done to them in turn."""

    positions: npt.NDArray[np.intp]
    steps: tuple[Step, ...]
    width: int

    def encode(self, rows: Rows) -> Floats:
        matrix = rows.numbers[:, self.positions]
        for step in self.steps:
            matrix = step(matrix)
        return matrix


@dataclass(frozen=True, slots=True)
class _ValueBlock:
    """Categories and booleans: `base` is one encoded row, and each column replaces its own part of it."""

    base: Floats
    parts: tuple[tuple[int, dict[Any, int], npt.NDArray[np.intp], Floats], ...]

    @property
    def width(self) -> int:
        return self.base.size

    def encode(self, rows: Rows) -> Floats:
        matrix = np.repeat(self.base[None, :], len(rows), axis=0)
        for position, codes, owned, table in self.parts:
            matrix[:, owned] = table[[codes[v] for v in rows.others[position]]]
        return matrix


@dataclass(frozen=True, slots=True)
class Encoder:
    """Rows -> the matrix (rows, features) that the fitted transformer gives."""

    blocks: tuple[_NumberBlock | _ValueBlock, ...]
    then: tuple[Step, ...] = ()

    def __call__(self, rows: Rows) -> Floats:
        if len(self.blocks) == 1:
            matrix = self.blocks[0].encode(rows)
        else:
            matrix = np.concatenate([block.encode(rows) for block in self.blocks], axis=1)
        for step in self.then:
            matrix = step(matrix)
        return matrix


def make_encoder(transformer: Any, layout: Layout) -> Encoder:
    """The encoder for a fitted transformer. Raises NotEncodable with the reason."""
    if isinstance(transformer, Pipeline) and len(transformer.steps):
        first = make_encoder(transformer.steps[0][1], layout)
        then = tuple(step for _, s in transformer.steps[1:] for step in _number_steps(s))
        return Encoder(first.blocks, (*first.then, *then))
    if type(transformer) is not ColumnTransformer:
        raise NotEncodable(f"the features are a {type(transformer).__name__}")
    blocks = [
        _block(fitted, _names(transformer, columns), layout)
        for _, fitted, columns in transformer.transformers_
        if not (isinstance(fitted, str) and fitted == "drop")
    ]
    encoder = Encoder(tuple(b for b in blocks if b.width))
    if not encoder.blocks:
        raise NotEncodable("there are no features")
    return encoder


def _names(transformer: ColumnTransformer, columns: Any) -> list[str]:
    known = list(transformer.feature_names_in_)
    if isinstance(columns, slice):
        return known[columns]
    listed = [columns] if isinstance(columns, (str, int)) else list(columns)
    if listed and isinstance(listed[0], (bool, np.bool_)):
        return [name for name, chosen in zip(known, listed, strict=True) if chosen]
    return [name if isinstance(name, str) else known[name] for name in listed]


def _block(fitted: Any, names: list[str], layout: Layout) -> _NumberBlock | _ValueBlock:
    by_name = {c.name: c for c in layout.columns}
    if not set(names) <= by_name.keys():
        raise NotEncodable("the features read columns that are no features of the contract")
    columns = [by_name[name] for name in names]
    kinds = {c.type in NUMBERS for c in columns}
    if len(kinds) > 1:
        raise NotEncodable(f"a {type(fitted).__name__} takes numbers and categories together")
    if kinds == {False}:
        return _value_block(fitted, columns, layout)
    steps = tuple(_number_steps(fitted)) if columns else ()
    positions = np.array([layout.positions[name] for name in names], dtype=np.intp)
    probe = np.zeros((1, len(names)))
    for step in steps:
        probe = step(probe)
    return _NumberBlock(positions, steps, probe.shape[1])


def _number_steps(fitted: Any) -> list[Step]:
    """What a fitted transformer does to a matrix of numbers. Raises NotEncodable."""
    if fitted == "passthrough" or (type(fitted) is FunctionTransformer and fitted.func is None):
        return []
    if type(fitted) is Pipeline:
        return [step for _, s in fitted.steps for step in _number_steps(s)]
    make = _MAKERS.get(type(fitted))
    if make is None:
        raise NotEncodable(f"the features have a {type(fitted).__name__}")
    return [make(fitted)]


def _impute(fitted: SimpleImputer) -> Step:
    if not (isinstance(fitted.missing_values, float) and np.isnan(fitted.missing_values)):
        raise NotEncodable("the imputer replaces another value than a missing one")
    values = np.asarray(fitted.statistics_, dtype=np.float64)
    if np.isnan(values).any():
        raise NotEncodable("a column had no values in training")
    flagged = fitted.indicator_.features_ if fitted.add_indicator else None

    def step(matrix: Floats) -> Floats:
        missing = np.isnan(matrix)
        filled = np.where(missing, values, matrix)
        if flagged is None or not len(flagged):
            return filled
        return np.concatenate([filled, missing[:, flagged]], axis=1)

    return step


def _standard(fitted: StandardScaler) -> Step:
    mean = fitted.mean_ if fitted.with_mean else 0.0
    return _shift_and_divide(mean, fitted.scale_ if fitted.with_std else 1.0)


def _robust(fitted: RobustScaler) -> Step:
    centre = fitted.center_ if fitted.with_centering else 0.0
    return _shift_and_divide(centre, fitted.scale_ if fitted.with_scaling else 1.0)


def _shift_and_divide(shift: Any, divisor: Any) -> Step:
    return lambda matrix: np.asarray((matrix - shift) / divisor)


def _min_max(fitted: MinMaxScaler) -> Step:
    scale, least, (low, high) = fitted.scale_, fitted.min_, fitted.feature_range
    if fitted.clip:
        return lambda matrix: np.asarray(np.clip(matrix * scale + least, low, high))
    return lambda matrix: np.asarray(matrix * scale + least)


_MAKERS: dict[type, Callable[[Any], Step]] = {
    SimpleImputer: _impute,
    StandardScaler: _standard,
    RobustScaler: _robust,
    MinMaxScaler: _min_max,
}


def _value_block(fitted: Any, columns: Sequence[Column], layout: Layout) -> _ValueBlock:
    """The table of a transformer of categories and booleans, made by asking it for every value of every column."""
    values = [_possible(c) for c in columns]
    if sum(map(len, values)) > MOST_VALUES:
        raise NotEncodable(f"its categories are more than {MOST_VALUES}")
    rows = [[v[0] for v in values]]
    for position, possible in enumerate(values):
        rows += [[v if i == position else values[i][0] for i in range(len(columns))] for v in possible]
    encoded = _transform(fitted, rows, columns)
    base, start, parts = encoded[0], 1, []
    taken = np.zeros(base.size, dtype=np.bool_)
    for column, possible in zip(columns, values, strict=True):
        block = encoded[start : start + len(possible)]
        start += len(possible)
        owned = np.array([not _same(block[:, i], base[i]) for i in range(base.size)], dtype=np.bool_)
        if (owned & taken).any():
            raise NotEncodable(f"a {type(fitted).__name__} looks at several columns at once")
        taken |= owned
        if owned.any():
            codes = {value: code for code, value in enumerate(possible)}
            parts.append((layout.positions[column.name], codes, np.flatnonzero(owned), block[:, owned]))
    return _ValueBlock(base, tuple(parts))


def _same(values: Floats, value: float) -> bool:
    return bool(np.all(np.isnan(values)) if np.isnan(value) else np.all(values == value))


def _possible(column: Column) -> list[Any]:
    """Every value that a row which holds to the contract can have."""
    return [*(column.categories or (True, False)), *([None] if column.nullable else [])]


def _transform(fitted: Any, rows: list[list[Any]], columns: Sequence[Column]) -> Floats:
    lists = [list(values) for values in zip(*rows, strict=True)]
    frame = Rows(Layout(tuple(columns)), np.empty((len(rows), 0)), tuple(lists)).frame()
    if isinstance(fitted, str):
        raise NotEncodable("a category is passed on as it is")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a value that training never saw
            encoded = fitted.transform(frame)
        dense = encoded.toarray() if hasattr(encoded, "toarray") else np.asarray(encoded)
        return dense.astype(np.float64)
    except Exception as error:
        raise NotEncodable(
            f"a {type(fitted).__name__} does not take every value of the contract ({type(error).__name__})"
        ) from error
