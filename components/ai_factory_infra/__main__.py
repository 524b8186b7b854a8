"""`python -m ai_factory_infra preview|up|destroy|check --stage dev`: the stacks of one stage. `make infra-*` calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ai_factory_spec.errors import EXIT_OK, FactoryError

COMMANDS = {
    "preview": "show what `up` would change",
    "up": "make or change every stack, in order",
    "destroy": "destroy every stack, last first",
    "check": "only look whether `up` could begin: program, account, state",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says how it went (playbooks/errors.md)."""
    asked = _parser().parse_args(arguments)
    try:
        _run(asked)
    except FactoryError as error:
        sys.stdout.flush()
        hint = f"\n{error.hint}" if error.hint else ""
        print(f"{error}{hint}\n({error.slug} in docs/errors.md)", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return EXIT_OK


def _run(asked: argparse.Namespace) -> None:
    from ai_factory_infra.automation import commands  # heavy: `--help` must not wait for it

    session = commands.Session(asked.infra, asked.stage, yes=asked.yes)
    getattr(commands, asked.command)(session)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ai_factory_infra", description=__doc__)
    verbs = parser.add_subparsers(dest="command", required=True)
    for name, what in COMMANDS.items():
        verb = verbs.add_parser(name, help=what, description=what)
        verb.add_argument("--stage", default="dev", help="dev, staging or prod")
        verb.add_argument("--infra", type=Path, default=Path("infra"), help="the folder of the programs")
        verb.add_argument("--yes", action="store_true", help="ask nobody")
    return parser


if __name__ == "__main__":
    sys.exit(main())
