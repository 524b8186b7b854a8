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


def refuse_without_passphrase(programs: Sequence[Program], url: str, environment: Mapping[str, str]) -> None:
    """A bucket or folder keeps secrets under a passphrase or a key: refuse where there is neither, before any stack is made.

    An empty passphrase is none: it is what continuous integration hands on for a secret that was never set.
    """
    if not url or is_cloud(url) or not (lacks := _lacks(environment)):
        return
    bare = [p.stack for p in programs if not p.keeps_secrets_by or p.keeps_secrets_by == "passphrase"]
    if bare:
        raise StateUnusable(
            where=url, reason=f"nothing encrypts the secrets of {', '.join(bare)}: {lacks}.", hint=NO_KEY
        )


def _lacks(environment: Mapping[str, str]) -> str:
    """What is wrong with the passphrase; empty where there is one. The variable wins over the file, even when it is empty."""
    if PASSPHRASE in environment:
        return "" if environment[PASSPHRASE].strip() else f"{PASSPHRASE} is empty"
    if not environment.get(PASSPHRASE_FILE):
        return f"neither {PASSPHRASE} nor {PASSPHRASE_FILE} is set"
    file = Path(environment[PASSPHRASE_FILE])
    return "" if file.is_file() and file.read_text(encoding="utf-8").strip() else f"{file} holds no passphrase"
