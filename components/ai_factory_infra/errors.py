"""What the commands of this package refuse, and why.

InfraError
├── StackNotFound         no program, or none for this stage
├── StackOrderError       stacks that read each other in a circle
├── PulumiMissing         the program pulumi is not there, or too old
├── StateUnusable         the state back end cannot be opened
├── CredentialsMissing    nobody is signed in to AWS
├── WrongAccount          the credentials belong to another account
├── StackBusy             somebody else is updating the stack
├── UpdateFailed          a preview, update or destruction failed
├── EndpointRolledBack    the endpoint does not run what was rolled out
├── NotConfirmed          a change that nobody said yes to
├── ProgramRefused        a program refuses its settings, or a component its inputs
├── PriceTableInvalid     the price table cannot be read
├── RehearsalRefused      a rehearsal that could reach a real account, or lacks its emulator
└── RehearsalFailed       a rehearsal in which a program, not the emulator, fell short

An input of a component that AWS would not take is `pulumi.InputPropertiesError` instead: it is raised inside a program.
"""

# ruff: noqa: N818 - the names say what happened; all are raised, none needs "Error" to be told from a value.

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, EXIT_DRIFT, EXIT_USAGE, FactoryError

INSTALL = (
    "Install Pulumi: `brew install pulumi/tap/pulumi` (macOS), `winget install pulumi` (Windows), "
    "`curl -fsSL https://get.pulumi.com | sh` (Linux); every other way: https://www.pulumi.com/docs/install/"
)
BACK_ENDS = (
    "`backend.url` in every infra/STACK/Pulumi.yaml: none for Pulumi Cloud (and `pulumi login`), "
    "s3://BUCKET for a bucket, file://~ for a folder. PULUMI_BACKEND_URL wins over it."
)


def tell(error: FactoryError) -> int:
    """Say on standard error what was refused, why and what to do next; returns the exit code of the command."""
    hint = f"\n{error.hint}" if error.hint else ""
    sys.stdout.flush()
    sys.stderr.write(f"{error}{hint}\n({error.slug} in docs/errors.md)\n")
    return error.exit_code


class InfraError(FactoryError):
    """A command on the stacks was refused or failed."""


class StackNotFound(InfraError):
    """There is no program here, or none for this stage."""

    slug = "stack-not-found"
    exit_code = EXIT_USAGE

    def __init__(
        self,
        *,
        infra: Path,
        stage: str,
        missing: Sequence[str] = (),
        stages: Iterable[str] = (),
        unknown: Sequence[str] = (),
        known: Iterable[str] = (),
    ) -> None:
        if unknown:
            message = f"{infra} has no stack {', '.join(unknown)}."
            hint = f"There are: {', '.join(known)}."
        elif missing:
            message = f"No {', '.join(f'{infra / name}/Pulumi.{stage}.yaml' for name in missing)}: no such stage there."
            hint = f"Stages that every stack has: {', '.join(stages) or 'none'}."
        else:
            message = f"{infra} holds no Pulumi program (a folder with Pulumi.yaml)."
            hint = "Run this in the repository's own folder, or name the folder of the programs."
        super().__init__(message, hint=hint)


class StackOrderError(InfraError):
    """Stacks read each other in a circle, or read one that is not there."""

    slug = "stack-order"

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__(
            "The stacks have no order:\n" + "\n".join(f"  {p}" for p in problems),
            hint="Each stack may read (`stage.reads(NAME)`) only stacks that exist and do not read it.",
        )


class PulumiMissing(InfraError):
    """The program pulumi is not on PATH, or is older than the library needs."""

    slug = "pulumi-missing"

    def __init__(self, *, found: str = "") -> None:
        super().__init__(f"The program pulumi is {f'too old: {found}' if found else 'missing'}.", hint=INSTALL)


class StateUnusable(InfraError):
    """The state cannot be opened: not logged in, no such bucket, or no passphrase for its secrets."""

    slug = "state-unusable"

    def __init__(self, *, where: str, reason: str, hint: str = BACK_ENDS) -> None:
        super().__init__(f"Pulumi's state in {where} cannot be used: {reason}", hint=hint)


class CredentialsMissing(InfraError):
    """Nobody is signed in to AWS, or the sign-in has run out."""

    slug = "credentials-missing"

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"AWS does not know who asks: {reason}", hint="`aws sso login`, with AWS_PROFILE set; no key belongs here."
        )


class WrongAccount(InfraError):
    """The credentials belong to another account than the stacks are for. Nothing was made."""

    slug = "wrong-account"

    def __init__(self, *, stage: str, account: str, arn: str, wanted: Sequence[tuple[str, str]]) -> None:
        lines = "\n".join(f"  {stack}: account {number}" for stack, number in wanted)
        super().__init__(
            f"These credentials are of account {account} ({arn}); stage {stage} belongs to another:\n{lines}\n"
            "Nothing was made or changed.",
            hint=f"Sign in to that account (AWS_PROFILE), or correct `account` in infra/STACK/Pulumi.{stage}.yaml.",
        )


class StackBusy(InfraError):
    """Somebody else is updating the stack, or did until their machine stopped."""

    slug = "stack-busy"
    exit_code = EXIT_DRIFT

    def __init__(self, *, stack: str, stage: str, holders: Sequence[str]) -> None:
        super().__init__(
            f"{stack} is being updated: " + ("; ".join(holders) or "another update is in progress") + ".",
            hint=f"Wait for it. Once it surely does not run any more: `pulumi -C infra/{stack} cancel {stage}`.",
        )


class UpdateFailed(InfraError):
    """A preview, an update or a destruction of one stack failed; those before it stand. `seen`: what it had done."""

    slug = "update-failed"

    def __init__(self, *, verb: str, stack: str, reasons: Sequence[str], hint: str, seen: object = None) -> None:
        self.seen = seen
        lines = "\n".join(f"  {line}" for reason in reasons for line in reason.strip().splitlines())
        super().__init__(f"{stack}: {verb} failed.\n{lines}".rstrip(), hint=hint)


class EndpointRolledBack(InfraError):
    """An endpoint does not run what was rolled out, although the update reported success."""

    slug = "endpoint-rolled-back"
    exit_code = EXIT_DRIFT

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__(
            "The update went through, but the endpoint does not run what was rolled out:\n"
            + "\n".join(f"  {p}" for p in problems),
            hint="Look at its alarms and logs; mend or set back `release`, then `make infra-up` again.",
        )


class NotConfirmed(InfraError):
    """Nobody said yes to a change."""

    slug = "not-confirmed"

    def __init__(self, *, verb: str, stack: str, asked: bool) -> None:
        why = "you did not say yes" if asked else "there is nobody to ask (no terminal)"
        super().__init__(f"{stack}: {verb} was not begun, because {why}.", hint="YES=1 goes on without asking.")


class ProgramRefused(InfraError):
    """Programs refuse their settings, or components their inputs. Nothing was made. All of them at once."""

    slug = "program-refused"

    def __init__(self, *, refused: Sequence[tuple[str, str]]) -> None:
        lines = "\n".join(f"  {stack}: {line}" for stack, said in refused for line in said.splitlines())
        super().__init__(
            f"Nothing was made or changed, because of what the programs refuse:\n{lines}",
            hint="Correct infra/STACK/Pulumi.<stage>.yaml (or the program), then run the same command again.",
        )


class PriceTableInvalid(InfraError):
    """The price table cannot be read. All problems at once."""

    slug = "price-table-invalid"

    def __init__(self, *, file: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"{file} is not a price table:\n" + "\n".join(f"  {p}" for p in problems),
            hint="`python -m ai_factory_infra cost --print-table` prints a valid one to start from.",
        )


class RehearsalRefused(InfraError):
    """A rehearsal that could reach a real account, or has nothing to rehearse on."""

    slug = "rehearsal-refused"

    def __init__(self, *, problems: Sequence[str], hint: str) -> None:
        super().__init__("Not rehearsed:\n" + "\n".join(f"  {p}" for p in problems), hint=hint)


class RehearsalFailed(InfraError):
    """Something could not be made or destroyed, and the emulator is not to blame."""

    slug = "rehearsal-failed"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, problems: Sequence[str], page: Path) -> None:
        super().__init__(
            "The rehearsal found what AWS would find too:\n" + "\n".join(f"  {p}" for p in problems),
            hint=f"{page} has the whole of it; mend the program, then rehearse again.",
        )
