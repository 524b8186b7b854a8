"""What must hold before a rehearsal begins: nothing real can be reached. What cannot be ruled out is refused."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ai_factory_infra.automation.programs import Program
from ai_factory_infra.automation.trial import Tried
from ai_factory_infra.emulated import NOBODY
from ai_factory_infra.errors import RehearsalRefused

# What goes on of the environment: where programs and certificates are, and how a person reads. Everything else might be a token.
GOES_ON = frozenset(
    (
        "APPDATA", "COLORTERM", "COMSPEC", "HOME", "HOMEDRIVE", "HOMEPATH", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "LANGUAGE",
        "LD_LIBRARY_PATH", "LOCALAPPDATA", "LOGNAME", "NO_COLOR", "NO_PROXY", "PATH", "PATHEXT",
        "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "SYSTEMROOT",
        "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER", "USERPROFILE", "VIRTUAL_ENV",
    )
)  # fmt: skip
# Of Pulumi's own settings those stay behind that say where a state is, who asks, or what a program is told.
NOT_OF_PULUMI = (
    "ACCESS",
    "API",
    "BACKEND",
    "CLOUD",
    "CONFIG",
    "CREDENTIALS",
    "ORG",
    "PASSPHRASE",
    "SECRET",
    "STACK",
    "TOKEN",
)
OF_AWS = frozenset({"aws", "ai-factory", "pulumi"})
REACH_NOTHING = frozenset({"random", "tls"})
MODULE = "pulumi_"  # what the Python module of a provider begins with


def refuse_what_is_real(programs: Sequence[Program]) -> None:
    """Raise RehearsalRefused, naming every setting through which a program could get credentials of its own."""
    problems = []
    for program in programs:
        file = program.folder / f"Pulumi.{program.stage}.yaml"
        if program.borrows_environment:
            problems.append(f"{file}: `environment` opens credentials that a rehearsal cannot see")
        problems += [
            f"{file}: `{key}` sets up a provider of its own"
            for key in sorted(program.foreign)
            if key.startswith("aws:")
        ]
    if problems:
        raise RehearsalRefused(
            problems=problems, hint="Take these out for the rehearsal: a real account could be reached through them."
        )


def refuse_other_providers(programs: Sequence[Program], came_of: Sequence[Tried]) -> None:
    """Raise RehearsalRefused, naming every program that could make something elsewhere than on the emulator.

    Its modules are looked through, and what it registers without a cloud; one that cannot be run so cannot be judged.
    """
    problems = []
    for program, one in zip(programs, came_of, strict=True):
        try:
            imported = {name.removeprefix(MODULE).replace("_", "-") for name in _modules(program.folder)}
        except (SyntaxError, UnicodeDecodeError) as error:
            problems.append(f"{program.stack}: what it imports could not be looked at: {error}")
            continue
        others = sorted((imported | one.packages) - OF_AWS - REACH_NOTHING)
        problems += [
            f"{program.stack}: the provider {other} makes real things; the emulator is AWS's" for other in others
        ]
        if one.unsure:
            problems.append(f"{program.stack}: what it makes could not be looked at: {one.unsure}")
    if problems:
        raise RehearsalRefused(
            problems=problems,
            hint="Rehearse without these stacks (move them out of the folder), or let them run without a cloud: "
            "`ai_factory_infra.testing.run_program` shows where they stop.",
        )


def _modules(folder: Path) -> set[str]:
    """The modules of providers that a program's files import, such as `pulumi_github`."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return {name for name in names if name.startswith(MODULE) and name != "pulumi_policy"}


def stranger(environment: Mapping[str, str], emulator: str, work: Path, region: str) -> dict[str, str]:
    """The environment of somebody who is signed in nowhere, knows only the emulator, and keeps state in `work`."""
    kept = {k: v for k, v in environment.items() if _goes_on(k.upper())}
    return kept | {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": NOBODY,
        "AWS_SECRET_ACCESS_KEY": NOBODY,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PULUMI_BACKEND_URL": f"file://{work / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": NOBODY,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def _goes_on(name: str) -> bool:
    how_pulumi_works = name.startswith("PULUMI_") and not any(word in name for word in NOT_OF_PULUMI)
    return name in GOES_ON or name.startswith(("LC_", "PYTHON")) or how_pulumi_works


@contextmanager
def only(environment: Mapping[str, str]) -> Iterator[None]:
    """Nothing but `environment` in this process and its children, until the end: children inherit what is not removed."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
