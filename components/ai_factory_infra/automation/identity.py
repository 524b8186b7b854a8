"""Who the AWS credentials are, held against the accounts that the stacks are for, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ai_factory_infra.automation.programs import Program
from ai_factory_infra.errors import CredentialsMissing, WrongAccount


@dataclass(frozen=True, slots=True)
class Caller:
    """An account's number and the ARN of who asks."""

    account: str
    arn: str


def caller(region: str) -> Caller:
    """Ask AWS who the credentials are. Raises CredentialsMissing."""
    import boto3  # heavy, and needed by nothing that runs without an account
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("sts", region_name=region or None).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise CredentialsMissing(reason=str(error)) from error
    return Caller(answer["Account"], answer["Arn"])


def refuse_wrong_account(programs: Sequence[Program], found: Caller) -> None:
    """Raise WrongAccount, naming every stack whose account is another one. A stack without an account refuses none."""
    wrong = [(p.stack, p.account) for p in programs if p.account and p.account != found.account]
    if wrong:
        raise WrongAccount(stage=programs[0].stage, account=found.account, arn=found.arn, wanted=wrong)


def checks_itself(programs: Sequence[Program]) -> bool:
    """Whether credentials come from an environment that only Pulumi opens: then the provider alone can refuse."""
    return any(p.borrows_environment for p in programs)
