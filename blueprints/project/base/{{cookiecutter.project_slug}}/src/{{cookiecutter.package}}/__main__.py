"""The project command: the runtime's steps, run on this package's data, features and models."""

from __future__ import annotations

from ai_factory_runtime.cli import run_project
from ai_factory_runtime.project import Hooks

from {{ cookiecutter.package }} import data, features, model

HOOKS = Hooks(load=data.load, features=features.build, candidates=model.candidates)


def main() -> None:
    """Run the command line."""
    run_project("{{ cookiecutter.package }}", HOOKS)


if __name__ == "__main__":
    main()
