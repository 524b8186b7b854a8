"""Releases: who has signed a model, on which evidence, and who must before it leaves dev.

A release is a file under governance/releases/, kept in git: `<version>-<first 12 of the digest>.yaml`. It fits one model
only: its digest is recomputed from the package's files, and its evidence compared with them, each time it counts. Each
signature seals the evidence it was given on; a record that was edited afterwards, or copied, approves nothing.

A seal shows an edit; it does not prove who typed the name. That is the work of the review of the repository's changes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from ai_factory_spec.errors import FactoryError, Problem
from ai_factory_spec.naming import command_name
from ai_factory_spec.paths import dotted
from ai_factory_spec.source import decode, read
from ai_factory_spec.suggest import did_you_mean
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import NotApproved, TamperedModel
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import ApprovalRefused, PolicyInvalid, ReleaseInvalid
from ai_factory_runtime.model_package.package import CARD_MARKDOWN, MANIFEST, METRICS, package_digest

if TYPE_CHECKING:
    from ai_factory_runtime.releases.registry import ModelVersion

POLICY = "governance/approvals.yaml"
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


@dataclass(frozen=True, slots=True)
class Release:
    """A record, and where it stands. `problems` say why it approves nothing; `missing` are the roles still to sign."""

    path: Path
    version: int
    digest: str
    approvals: tuple[Approval, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...] = ()

    @property
    def approved(self) -> bool:
        """Whether every role has signed this very model."""
        return not self.missing and not self.problems


def load_policy(project: Project) -> Policy:
    """Who must sign. Raises PolicyInvalid: without a policy nothing is approved."""
    problems, policy = _parse(project.root / POLICY, Policy)
    if policy is None:
        raise PolicyInvalid(file=POLICY, problems=problems)
    return policy


def open_release(project: Project, model: ModelVersion) -> Path:
    """Write the record of a registered model, unsigned, unless it is there already. Returns its path. Raises TamperedModel."""
    digest = package_digest(model.folder)
    if digest != model.digest:
        raise TamperedModel(
            folder=model.folder, problems=[f"its digest is {digest[:12]}…, registered was {model.digest[:12]}…"]
        )
    path = _path(project, model.version, digest)
    if not path.exists():
        now = _now()
        record = Record(
            apiVersion="ai-factory/v1", kind="release", usecase=project.usecase.name, version=model.version, digest=digest,
            risk=project.usecase.risk.tier, opened=now, evidence=_evidence(model.folder), approvals=[],
        )  # fmt: skip
        _write(path, record)
    return path


def approve(project: Project, version: int, role: str, by: str, comment: str = "") -> Release:
    """Sign a registered version in a role. The record is opened where there is none yet.

    Raises ApprovalRefused for an unknown role, an empty name, a role that has signed or a person who has; ReleaseInvalid
    for a record that does not fit the model; PolicyInvalid, UnknownVersion, TamperedModel.
    """
    from ai_factory_runtime.releases.registry import open_registry

    policy = load_policy(project)
    model = open_registry(project).get(version)
    path = open_release(project, model)
    record = _fitting(project, path, model.folder, version)
    reason = _refusal(record, policy, role, by, comment)
    if reason:
        raise ApprovalRefused(
            release=f"version {version}", reason=reason, hint=f"`{_command(project)} releases` shows who has signed."
        )
    signed = Approval(role=role, by=_name(by), at=_now(), comment=comment.strip(), seal="0" * 64)
    signed = signed.model_copy(update={"seal": _seal(record, signed)})
    record = record.model_copy(update={"approvals": [*record.approvals, signed]})
    _write(path, record)
    return _release(path, record, policy.roles(project.usecase.risk.tier))


def require_approved(project: Project, folder: Path, *, stage: str, version: int | None = None) -> Release:
    """The release of the model package in `folder`, signed by every role that the risk tier of usecase.yaml asks for now.

    Raises NotApproved with the roles that are missing, ReleaseInvalid for a record that does not fit the package's files,
    PolicyInvalid, TamperedModel.
    """
    roles = load_policy(project).roles(project.usecase.risk.tier)
    digest = package_digest(folder)
    path = _find(project, digest, version)
    if path is None:
        label, missing = f"Version {version}" if version else f"The model {digest[:12]}", roles
    else:
        release = _release(path, _fitting(project, path, folder, version), roles)
        if release.approved:
            return release
        label, missing, version = f"Version {release.version}", release.missing, release.version
    commands = "; ".join(f"`{_command(project)} approve {version or 'VERSION'} --role {r} --by NAME`" for r in missing)
    raise NotApproved(release=label, stage=stage, missing=missing, hint=f"After reading the model card: {commands}.")


def release_version(project: Project, folder: Path) -> int:
    """The version that the records give the package in `folder`; 0 where none is of it."""
    path = _find(project, package_digest(folder), None)
    _, record = _parse(path, Record) if path else ([], None)
    return record.version if record else 0


def list_releases(project: Project) -> tuple[Release, ...]:
    """Every record, the latest version first. A record that fits no model here says so in `problems`; none raises."""
    roles = load_policy(project).roles(project.usecase.risk.tier)
    packages = _packages(project)
    found = [_listed(project, p, packages, roles) for p in sorted((project.root / RELEASES).glob("*.yaml"))]
    return tuple(sorted(found, key=lambda r: (-r.version, r.path.name)))


def _listed(project: Project, path: Path, packages: dict[str, Path], roles: tuple[str, ...]) -> Release:
    problems, record = _parse(path, Record)
    if record is None:
        return Release(path, 0, "", (), roles, tuple(map(str, problems)))
    folder = packages.get(record.digest)
    if folder is None:
        return Release(path, record.version, record.digest, (), roles, ("its model is not in artifacts/",))
    try:
        return _release(path, _fitting(project, path, folder, None), roles)
    except ReleaseInvalid as error:
        return Release(path, record.version, record.digest, (), roles, error.problems)
    except FactoryError as error:
        return Release(path, record.version, record.digest, (), roles, (str(error),))


def _packages(project: Project) -> dict[str, Path]:
    """Digest to folder of every model package under artifacts/models, and of every partition's."""
    found = [*project.models.glob(f"*/{MANIFEST}"), *project.shared.glob(f"partitions/*/models/*/{MANIFEST}")]
    return {hashlib.sha256(m.read_bytes()).hexdigest(): m.parent for m in found}


def _release(path: Path, record: Record, roles: tuple[str, ...]) -> Release:
    signed = {a.role for a in record.approvals}
    missing = tuple(role for role in roles if role not in signed)
    return Release(path, record.version, record.digest, tuple(record.approvals), missing)


def _fitting(project: Project, path: Path, folder: Path, version: int | None) -> Record:
    """The record at `path`, if every word of it fits the package in `folder` as it is now. Raises ReleaseInvalid."""
    problems, record = _parse(path, Record)
    if record is None:
        raise ReleaseInvalid(path=path, problems=[str(p) for p in problems])
    digest = package_digest(folder)
    found = []
    if record.usecase != project.usecase.name:
        found.append(f"it is of use case {record.usecase!r}, not {project.usecase.name!r}")
    if record.digest != digest:
        found.append(f"it is of the model {record.digest[:12]}…, the model here is {digest[:12]}…")
    if version is not None and record.version != version:
        found.append(f"it is of version {record.version}, not {version}")
    if path.name != _path(project, record.version, record.digest).name:
        found.append(f"its file name does not fit version {record.version} and its digest")
    evidence = _evidence(folder)
    if record.evidence.card != evidence.card:
        found.append("its model card is another one")
    if _canonical(record.evidence.results) != _canonical(evidence.results):
        found.append("its results are not those of the model")
    found += [
        f"the signature of {a.by} as {a.role} was given on something else"
        for a in record.approvals
        if a.seal != _seal(record, a)
    ]
    found += _signed_twice(record)
    if found:
        raise ReleaseInvalid(path=path, problems=found)
    return record


def _signed_twice(record: Record) -> list[str]:
    people = [_key(a.by) for a in record.approvals]
    roles = [a.role for a in record.approvals]
    twice = sorted({a.by for a in record.approvals if people.count(_key(a.by)) > 1})
    return [f"{by} signed more than one role" for by in twice] + [
        f"the role {r} was signed more than once" for r in sorted({r for r in roles if roles.count(r) > 1})
    ]


def _refusal(record: Record, policy: Policy, role: str, by: str, comment: str) -> str:
    """Why this signature cannot be taken; empty when it can."""
    if role not in policy.known_roles:
        known = ", ".join(policy.known_roles)
        return f"{role!r} is no role of {POLICY} ({known}){did_you_mean(role, policy.known_roles)}"
    name = _name(by)
    if not name or len(name) > 200 or any(unicodedata.category(c).startswith("C") for c in name):
        return "a signature needs the name of a person, on one line"
    if len(comment) > 2000:
        return f"the comment has {len(comment)} characters; 2000 are allowed"
    for approval in record.approvals:
        if approval.role == role:
            return f"{approval.by} has signed as {role} already"
        if _key(approval.by) == _key(by):
            return f"{approval.by} has signed as {approval.role}; one person signs one role"
    return ""


def _evidence(folder: Path) -> Evidence:
    """What the package's own files say; the digest covers both."""
    card = hashlib.sha256((folder / CARD_MARKDOWN).read_bytes()).hexdigest()
    return Evidence(card=card, results=json.loads((folder / METRICS).read_bytes()))


def _seal(record: Record, approval: Approval) -> str:
    """The sha256 of everything the signature stands for: the record without its signatures, and its own words."""
    signed = {
        "record": record.model_dump(exclude={"approvals"}),
        "approval": approval.model_dump(exclude={"seal"}),
    }
    return hashlib.sha256(_canonical(signed).encode()).hexdigest()


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def _name(by: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", by).split())


def _key(by: str) -> str:
    """What makes two spellings one person: case, width and spaces do not tell them apart."""
    return _name(by).casefold()


def _path(project: Project, version: int, digest: str) -> Path:
    return project.root / RELEASES / f"{version}-{digest[:12]}.yaml"


def _find(project: Project, digest: str, version: int | None) -> Path | None:
    """The record for a digest by its file name; None where there is none."""
    if version is not None:
        path = _path(project, version, digest)
        return path if path.is_file() else None
    found = sorted((project.root / RELEASES).glob(f"*-{digest[:12]}.yaml"))
    return found[0] if found else None


def _write(path: Path, record: Record) -> None:
    document = record.model_dump(mode="json")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    write_atomically(path, text.encode())


def _parse(path: Path, model: type[AnyModel]) -> tuple[list[Problem], AnyModel | None]:
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


def _command(project: Project) -> str:
    return command_name(project.usecase.name)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
