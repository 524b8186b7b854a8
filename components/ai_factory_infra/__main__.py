"""`python -m ai_factory_infra COMMAND --stage dev`: the stacks of one stage. `make infra-*` calls it."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from ai_factory_spec.errors import EXIT_OK, FactoryError

from ai_factory_infra.errors import tell

STOPPED = 130  # what shells report for Ctrl-C
COMMANDS = {
    "preview": "show what `up` would change",
    "up": "make or change every stack, in order",
    "destroy": "destroy every stack, last first",
    "check": "only look whether `up` could begin: program, account, state",
    "rehearse": "provision and destroy the stage on an AWS emulator on this machine",
    "cost": "estimate what the stage would cost a month; needs no account",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says how it went (playbooks/errors.md)."""
    asked = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a pipe, too, progress is seen as it happens
    try:
        _run(asked)
    except FactoryError as error:
        return tell(error)
    except KeyboardInterrupt as stopped:  # an operation that changes something was waited for, and says so
        print(str(stopped) or "Stopped. Nothing was under way.", file=sys.stderr)  # noqa: T201
        return STOPPED
    return EXIT_OK


def _run(asked: argparse.Namespace) -> None:
    """Each command imports what it needs: `--help` waits for none of it."""
    if asked.command == "cost":
        print(_cost(asked))  # noqa: T201
    elif asked.command == "rehearse":
        from ai_factory_infra.automation.progress import Screen
        from ai_factory_infra.rehearsal.run import rehearse

        rehearse(asked.infra, asked.stage, asked.out / f"rehearsal-{asked.stage}", Screen())
    else:
        from ai_factory_infra.automation import commands

        only = tuple(asked.stacks.replace(",", " ").split())
        session = commands.Session(asked.infra, asked.stage, only, yes=getattr(asked, "yes", False))
        getattr(commands, asked.command)(session)


def _cost(asked: argparse.Namespace) -> str:
    from ai_factory_infra.cost import estimate, price_table

    if asked.print_table:
        return price_table.SHIPPED.read_text(encoding="utf-8")
    found = estimate.estimate(asked.infra, asked.stage, asked.prices)
    return estimate.as_json(found) if asked.json else estimate.text(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ai_factory_infra", description=__doc__)
    verbs = parser.add_subparsers(dest="command", required=True)
    for name, what in COMMANDS.items():
        verb = verbs.add_parser(name, help=what, description=what)
        verb.add_argument("--stage", default="dev", help="dev, staging or prod")
        verb.add_argument("--infra", type=Path, default=Path("infra"), help="the folder of the programs")
        if name in ("preview", "up", "destroy", "check"):
            verb.add_argument("--stacks", default="", help="only these, such as `registry`; without it all")
        if name in ("up", "destroy"):
            verb.add_argument("--yes", action="store_true", help="ask nobody")
        if name == "rehearse":
            verb.add_argument("--out", type=Path, default=Path("artifacts"), help="where the report is written")
        if name == "cost":
            verb.add_argument(
                "--prices", type=Path, help="your price table; without it infra/prices.yaml, else the shipped one"
            )
            verb.add_argument("--json", action="store_true", help="for a program")
            verb.add_argument(
                "--print-table", action="store_true", help="print the shipped price table, to start yours from"
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
