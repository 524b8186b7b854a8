"""Releases: who has signed a model, on which evidence, and who must before it leaves dev.

A release is a file under governance/releases/, kept in git: `<version>-<first 12 of the digest>.yaml`. It fits one model
only: its digest is recomputed from the package's files, and its evidence compared with them, each time it counts. Each
signature seals the evidence it was given on; a record that was edited afterwards, or copied, approves nothing.

A seal shows an edit; it does not prove who typed the name. That is the work of the review of the repository's changes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import unicodedata
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.naming import command_name
from ai_factory_spec.suggest import did_you_mean

from ai_factory_runtime.base.errors import NotApproved, TamperedModel
from ai_factory_runtime.base.locking import locked
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import ApprovalRefused, PolicyInvalid, ReleaseInvalid
from ai_factory_runtime.model_package.package import MANIFEST, package_digest
from ai_factory_runtime.releases.release_record import (
    RELEASES,
    Approval,
    Policy,
    Record,
    canonical,
    evidence_of,
    parse,
    person_key,
    person_name,
    seal_of,
    signed_twice,
    write_record,
)

if TYPE_CHECKING:
    from ai_factory_runtime.releases.registry import ModelVersion

POLICY = "governance/approvals.yaml"


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
    problems, policy = parse(project.root / POLICY, Policy)
    if policy is None:
        raise PolicyInvalid(file=POLICY, problems=problems)
    return policy


def open_release(project: Project, model: ModelVersion) -> Path:
    """Write the record of a registered model, unsigned, unless it is there already. Returns its path. Raises TamperedModel, WriteFailed."""
    with _locked(project, model):
        return _opened(project, model)


def _opened(project: Project, model: ModelVersion) -> Path:
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
            risk=project.usecase.risk.tier, opened=now, evidence=evidence_of(model.folder), approvals=[],
        )  # fmt: skip
        write_record(path, record)
    return path


def approve(project: Project, version: int, role: str, by: str, comment: str = "") -> Release:
    """Sign a registered version in a role. The record is opened where there is none yet.

    Raises ApprovalRefused for an unknown role, an empty name, a role that has signed or a person who has; ReleaseInvalid
    for a record that does not fit the model; PolicyInvalid, UnknownVersion, TamperedModel.
    """
    from ai_factory_runtime.releases.registry import open_registry

    policy = load_policy(project)
    model = open_registry(project).get(version)
    with _locked(project, model):
        path = _opened(project, model)
        record = _fitting(project, path, model.folder, version)
        reason = _refusal(record, policy, role, by, comment)
        if reason:
            hint = f"`{_command(project)} releases` shows who has signed."
            raise ApprovalRefused(release=f"version {version}", reason=reason, hint=hint)
        signed = Approval(role=role, by=person_name(by), at=_now(), comment=comment.strip(), seal="0" * 64)
        signed = signed.model_copy(update={"seal": seal_of(record, signed)})
        record = record.model_copy(update={"approvals": [*record.approvals, signed]})
        write_record(path, record)
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
    _, record = parse(path, Record) if path else ([], None)
    return record.version if record else 0


def list_releases(project: Project) -> tuple[Release, ...]:
    """Every record, the latest version first. A record that fits no model here says so in `problems`; none raises."""
    roles = load_policy(project).roles(project.usecase.risk.tier)
    packages = _packages(project)
    found = [_listed(project, p, packages, roles) for p in sorted((project.root / RELEASES).glob("*.yaml"))]
    return tuple(sorted(found, key=lambda r: (-r.version, r.path.name)))


def _listed(project: Project, path: Path, packages: dict[str, Path], roles: tuple[str, ...]) -> Release:
    problems, record = parse(path, Record)
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
    problems, record = parse(path, Record)
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
    evidence = evidence_of(folder)
    if record.evidence.card != evidence.card:
        found.append("its model card is another one")
    if canonical(record.evidence.results) != canonical(evidence.results):
        found.append("its results are not those of the model")
    found += [
        f"the signature of {a.by} as {a.role} was given on something else"
        for a in record.approvals
        if a.seal != seal_of(record, a)
    ]
    found += signed_twice(record)
    if found:
        raise ReleaseInvalid(path=path, problems=found)
    return record


def _refusal(record: Record, policy: Policy, role: str, by: str, comment: str) -> str:
    """Why this signature cannot be taken; empty when it can."""
    if role not in policy.known_roles:
        known = ", ".join(policy.known_roles)
        return f"{role!r} is no role of {POLICY} ({known}){did_you_mean(role, policy.known_roles)}"
    name = person_name(by)
    if not name or len(name) > 200 or any(unicodedata.category(c).startswith("C") for c in name):
        return "a signature needs the name of a person, on one line"
    if len(comment) > 2000:
        return f"the comment has {len(comment)} characters; 2000 are allowed"
    for approval in record.approvals:
        if approval.role == role:
            return f"{approval.by} has signed as {role} already"
        if person_key(approval.by) == person_key(by):
            return f"{approval.by} has signed as {approval.role}; one person signs one role"
    return ""


def _path(project: Project, version: int, digest: str) -> Path:
    return project.root / RELEASES / f"{version}-{digest[:12]}.yaml"


def _find(project: Project, digest: str, version: int | None) -> Path | None:
    """The record for a digest by its file name; None where there is none."""
    if version is not None:
        path = _path(project, version, digest)
        return path if path.is_file() else None
    found = sorted((project.root / RELEASES).glob(f"*-{digest[:12]}.yaml"))
    return found[0] if found else None


def _locked(project: Project, model: ModelVersion) -> AbstractContextManager[None]:
    """One signature at a time. The lock lies under artifacts/, which git does not see; the records are kept in git."""
    return locked(project.shared / "locks" / f"{_path(project, model.version, model.digest).stem}.lock")


def _command(project: Project) -> str:
    return command_name(project.usecase.name)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
