"""The schema of usecase.yaml, its reader, and the root of every error; the one package both the generator and the runtime read.

Names are loaded on first use: an error class or the naming rules cost no import of pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ai_factory_spec.errors import FactoryError, Problem, UsecaseError
    from ai_factory_spec.reader import load_usecase, parse_usecase
    from ai_factory_spec.schema import json_schema
    from ai_factory_spec.usecase import UseCase

__all__ = ["FactoryError", "Problem", "UseCase", "UsecaseError", "json_schema", "load_usecase", "parse_usecase"]

_HOME = {
    "FactoryError": "errors",
    "Problem": "errors",
    "UseCase": "usecase",
    "UsecaseError": "errors",
    "json_schema": "schema",
    "load_usecase": "reader",
    "parse_usecase": "reader",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
