"""Prints what a registry was made again of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ai_factory_runtime.commands.console import printable, show_json

if TYPE_CHECKING:
    from ai_factory_runtime.releases.rebuild import Rebuilt


def show_rebuilt(rebuilt: Rebuilt, *, command: str, as_json: bool) -> None:
    """Each version with what its number is known by, the aliases, and what was left out."""
    if as_json:
        versions = [
            {"version": f.version, "run": f.run_id, "digest": f.digest, "verdict": f.verdict, "known_by": f.known_by}
            for f in rebuilt.versions
        ]
        aliases = {"champion": rebuilt.champion, "challenger": rebuilt.challenger}
        show_json({"versions": versions, **aliases, "left_out": list(rebuilt.left_out)})
        return
    lines = [f"Version {f.version}: {f.run_id}, {f.verdict}; known by {f.known_by}." for f in rebuilt.versions]
    for alias, version in (("champion", rebuilt.champion), ("challenger", rebuilt.challenger)):
        lines.append(f"The {alias} is {f'version {version}' if version is not None else 'none'}.")
    lines += [f"Left out: {said}" for said in rebuilt.left_out]
    lines.append(f"Next: {command} show")
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")
