"""Where the blueprints, playbooks and components are: in a source checkout, or inside an installed wheel."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent
_WHEEL = _PACKAGE / "_assets"


def blueprints() -> Path:
    """The folder of the built-in blueprints: `<kind>/<name>/blueprint.yaml`."""
    return _assets("blueprints")


def playbooks() -> Path:
    """The folder of the playbook pages."""
    return _assets("playbooks")


@cache
def component(name: str) -> Path | None:
    """The folder of a component package, or None where no such package is installed."""
    beside = _CHECKOUT / "components" / name
    if (beside / "__init__.py").is_file():
        return beside
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin and spec.submodule_search_locations else None


@cache
def _assets(name: str) -> Path:
    installed = _WHEEL / name
    return installed if installed.is_dir() else _CHECKOUT / name
