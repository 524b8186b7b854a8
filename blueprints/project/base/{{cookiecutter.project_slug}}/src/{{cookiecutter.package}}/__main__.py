"""The project command: the runtime's steps, run on this package's data, features and models."""

from __future__ import annotations

from ai_factory_runtime.base.project import Hooks
from ai_factory_runtime.cli import run_project


def hooks() -> Hooks:
    """This package's own code, imported when a step needs it: `--help` waits for no library."""
    from {{ cookiecutter.package }} import data, features, model

    kpi = getattr(model, "kpi", None)
    return Hooks(load=data.load, features=features.build, candidates=model.candidates, kpi=kpi)


def main() -> None:
    """Run the command line."""
    run_project("{{ cookiecutter.package }}", hooks)


if __name__ == "__main__":
    main()
