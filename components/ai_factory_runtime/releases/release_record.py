"""What stands in the files of a release: the policy, and records of who signed what.

Both are strict: an unknown field, a wrong type, a tier without roles is refused. A signature's seal is the sha256 of all it was
given on, so that an edited record says so by itself.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from ai_factory_spec.errors import Problem
from ai_factory_spec.paths import dotted
from ai_factory_spec.source import decode, read
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.model_package.package import CARD_MARKDOWN, METRICS

RELEASES = "governance/releases"

RiskTier = Literal["low", "medium", "high"]
Role = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9_-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
AnyModel = TypeVar("AnyModel", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Policy(_Strict):
    """governance/approvals.yaml: for each risk tier the roles that must sign. None may be empty: somebody signs."""

    apiVersion: Literal["ai-factory/v1"]
    approvals: dict[RiskTier, Annotated[list[Role], Field(min_length=1)]]

    @model_validator(mode="after")
    def _complete(self) -> Policy:
        missing = [tier for tier in ("low", "medium", "high") if tier not in self.approvals]
        if missing:
            raise ValueError(f"no roles for {', '.join(missing)}; each of low, medium and high needs its list")
        for tier, roles in self.approvals.items():
            if len(set(roles)) < len(roles):
                raise ValueError(f"{tier} lists a role twice")
        return self

    def roles(self, tier: RiskTier) -> tuple[str, ...]:
        """The roles that must sign a model of this risk tier."""
        return tuple(self.approvals[tier])

    @property
    def known_roles(self) -> tuple[str, ...]:
        """Every role of any tier."""
        return tuple(dict.fromkeys(role for roles in self.approvals.values() for role in roles))


class Approval(_Strict):
    """One signature. `at` is ISO 8601 in UTC; `seal` binds it to what was signed."""

    role: Role
    by: str
    at: str
    comment: str
    seal: Sha256


class Evidence(_Strict):
    """What the signers had before them: the model card's sha256, and the results of the run."""

    card: Sha256
    results: dict[str, Any]


class Record(_Strict):
    """A release record as it stands in its file."""

    apiVersion: Literal["ai-factory/v1"]
    kind: Literal["release"]
    usecase: str
    version: Annotated[int, Field(ge=1)]
    digest: Sha256
    risk: RiskTier
    opened: str
    evidence: Evidence
    approvals: list[Approval]


def write_record(path: Path, record: Record) -> None:
    """Write a record to its file, whole or not at all. Raises WriteFailed."""
    document = record.model_dump(mode="json")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    write_atomically(path, text.encode())


def parse(path: Path, model: type[AnyModel]) -> tuple[list[Problem], AnyModel | None]:
    """A YAML file as a strict model, or what is wrong with it."""
    try:
        text, problem = decode(path.read_bytes())
    except OSError as error:
        return [Problem("", 0, f"the file cannot be read ({error.strerror})")], None
    source = read(text)
    problems = [p for p in (problem, *source.problems) if p is not None]
    if problems or source.root is None:
        return problems, None
    try:
        return [], model.model_validate(source.root.plain())
    except ValidationError as error:
        for e in error.errors(include_url=False):
            place = tuple(step for step in e["loc"] if step != "[key]")
            problems.append(Problem(dotted(place), source.line(place), e["msg"].removeprefix("Value error, ")))
        return problems, None


def evidence_of(folder: Path) -> Evidence:
    """What the package's own files say; the digest covers both."""
    card = hashlib.sha256((folder / CARD_MARKDOWN).read_bytes()).hexdigest()
    return Evidence(card=card, results=json.loads((folder / METRICS).read_bytes()))


def seal_of(record: Record, approval: Approval) -> str:
    """The sha256 of everything the signature stands for: the record without its signatures, and its own words."""
    signed = {
        "record": record.model_dump(exclude={"approvals"}),
        "approval": approval.model_dump(exclude={"seal"}),
    }
    return hashlib.sha256(canonical(signed).encode()).hexdigest()


def canonical(document: object) -> str:
    """JSON that is the same text for equal documents."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def signed_twice(record: Record) -> list[str]:
    """Who signed more than one role, and which roles were signed more than once, a sentence each."""
    people = [person_key(a.by) for a in record.approvals]
    roles = [a.role for a in record.approvals]
    twice = sorted({a.by for a in record.approvals if people.count(person_key(a.by)) > 1})
    return [f"{by} signed more than one role" for by in twice] + [
        f"the role {r} was signed more than once" for r in sorted({r for r in roles if roles.count(r) > 1})
    ]


def person_name(by: str) -> str:
    """A name as it is written down: one form of each letter, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", by).split())


def person_key(by: str) -> str:
    """What makes two spellings one person: case, width and spaces do not tell them apart."""
    return person_name(by).casefold()
