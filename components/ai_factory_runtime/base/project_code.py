"""The border to the project's own code: what it raises is told with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.errors import ProjectCodeFailed


def call(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns. Its FactoryErrors pass; anything else it raises becomes ProjectCodeFailed at `where`."""
    try:
        return function(*arguments)
    except FactoryError:
        raise
    except Exception as error:
        text = str(error).strip() or "no message"
        raise ProjectCodeFailed(where=where, problem=f"{type(error).__name__}: {text.splitlines()[0]}") from error
