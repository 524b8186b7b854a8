"""What must hold before a rehearsal begins: nothing real can be reached. What cannot be ruled out is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ai_factory_infra.automation.programs import Program
from ai_factory_infra.emulated import NOBODY
from ai_factory_infra.errors import RehearsalRefused

# Of the environment nothing that names an account, a key, a state or an endpoint goes on.
LEFT_OUT = ("AWS_", "PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CLOUD_URL")


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


def stranger(environment: Mapping[str, str], emulator: str, work: Path, region: str) -> dict[str, str]:
    """The environment of somebody who is signed in nowhere, knows only the emulator, and keeps state in `work`."""
    kept = {k: v for k, v in environment.items() if not k.startswith(LEFT_OUT)}
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
