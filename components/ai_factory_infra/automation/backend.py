"""Where Pulumi keeps its state: one setting (`cloud.state`, which is `backend.url` of each Pulumi.yaml), or the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ai_factory_infra.automation.programs import Program
from ai_factory_infra.errors import StateUnusable

CLOUD = "Pulumi Cloud, or wherever `pulumi login` pointed last"
PASSPHRASE, PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
NO_KEY = (
    "Set PULUMI_CONFIG_PASSPHRASE (or …_FILE) to the team's passphrase, or give each stack a key of yours: "
    "`pulumi -C infra/STACK stack change-secrets-provider awskms://alias/NAME`."
)


def state_url(program: Program, environment: Mapping[str, str]) -> str:
    """The address of a program's state; empty: wherever `pulumi login` was last told to."""
    return environment.get("PULUMI_BACKEND_URL") or program.backend


def is_cloud(url: str) -> bool:
    """Whether an address is Pulumi Cloud's (or a self-hosted one): it keeps secrets itself."""
    return url.startswith(("https://", "http://"))


def refuse_without_passphrase(programs: Sequence[Program], environment: Mapping[str, str]) -> None:
    """A bucket or folder keeps secrets under a passphrase or a key: refuse where there is neither, before any stack is made.

    An empty passphrase is none: it is what continuous integration hands on for a secret that was never set.
    """
    bare = [p for p in programs if _by_passphrase(p, environment) and _lacks(environment, p.folder)]
    if bare:
        where = ", ".join(dict.fromkeys(state_url(p, environment) for p in bare))
        stacks, lacks = ", ".join(p.stack for p in bare), _lacks(environment, bare[0].folder)
        raise StateUnusable(where=where, reason=f"nothing encrypts the secrets of {stacks}: {lacks}.", hint=NO_KEY)


def _by_passphrase(program: Program, environment: Mapping[str, str]) -> bool:
    """Whether a passphrase is what keeps a program's secrets."""
    url = state_url(program, environment)
    return bool(url) and not is_cloud(url) and program.keeps_secrets_by in ("", "passphrase")


def _lacks(environment: Mapping[str, str], folder: Path) -> str:
    """What is wrong with the passphrase; empty where there is one. The variable wins over the file, even when it is empty.

    `folder`: where pulumi runs, so where it looks for a file that is not named by its whole path.
    """
    if PASSPHRASE in environment:
        return "" if environment[PASSPHRASE].strip() else f"{PASSPHRASE} is empty"
    if not environment.get(PASSPHRASE_FILE):
        return f"neither {PASSPHRASE} nor {PASSPHRASE_FILE} is set"
    file = folder.resolve() / environment[PASSPHRASE_FILE]
    try:
        holds = file.read_bytes().strip()
    except OSError:
        holds = b""
    return "" if holds else f"{file} holds no passphrase"
