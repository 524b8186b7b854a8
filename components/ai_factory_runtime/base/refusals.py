"""What deploying, serving, scoring and monitoring refuse, beside the errors of training in `errors`.

FactoryError (ai_factory_spec.errors)
├── UnknownStage         a stage that usecase.yaml does not list                     exit 1
├── NothingToRollBack    a stage has no earlier deployment                                1
├── DeploymentUnreadable the stage's file is not what `deploy` writes                     4
├── PolicyInvalid        governance/approvals.yaml does not say who must sign             1
├── ApprovalRefused      this signature cannot be taken                                   1
├── ReleaseInvalid       a release record does not fit its model                          4
├── SketchUnreadable     the package's sketch is of another format                        1
├── BatchUnusable        no row of the batch can be answered                              4
├── OutputRefused        the predictions cannot go where they are to go                   1
├── NothingCaptured      there are no captured requests to monitor                        1
├── NotTold              a channel did not take a notice                                  1
├── LabelsUnusable       a file of true values lacks what it takes to join them          1
└── AddressUnavailable   the service cannot listen there                                  1
"""

# ruff: noqa: N818 - the names say what happened, as in `errors`.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, FactoryError, Problem
from ai_factory_spec.suggest import did_you_mean


class UnknownStage(FactoryError):
    """The use case has no such stage."""

    slug = "unknown-stage"

    def __init__(self, *, stage: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{stage!r} is no stage of this use case ({', '.join(known)}){did_you_mean(stage, known)}",
            hint="deployment.stages in usecase.yaml lists the stages.",
        )


class NothingToRollBack(FactoryError):
    """The stage never had another model than the one it has."""

    slug = "nothing-to-roll-back"

    def __init__(self, *, stage: str, version: int) -> None:
        super().__init__(
            f"Stage {stage} has had no model before version {version}.",
            hint=f"Promote another version instead: `promote VERSION --stage {stage}`.",
        )


class DeploymentUnreadable(FactoryError):
    """The file that says which model a stage has is damaged."""

    slug = "deployment-unreadable"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} does not say which model is deployed: {reason}.",
            hint=f"`promote VERSION --stage {path.stem}` keeps the damaged file beside it and writes it anew.",
        )


class PolicyInvalid(FactoryError):
    """The approval policy is missing or wrong. Without a policy nothing leaves dev."""

    slug = "policy-invalid"

    def __init__(self, *, file: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{file} does not say who must sign:"]
        lines += [f"  {file}:{p.line}: {p}" if p.line else f"  {p}" for p in self.problems]
        super().__init__("\n".join(lines), hint="It lists, for each of low, medium and high, the roles that must sign.")

    def details(self) -> dict[str, object]:
        """And every problem of the file."""
        return {**super().details(), "problems": [asdict(p) for p in self.problems]}


class ApprovalRefused(FactoryError):
    """A signature that cannot be taken: an unknown role, no name, the role or the person has signed already."""

    slug = "approval-refused"

    def __init__(self, *, release: str, reason: str, hint: str) -> None:
        super().__init__(f"The approval of {release} was not recorded: {reason}", hint=hint)


class ReleaseInvalid(FactoryError):
    """A release record that does not belong to this model as it is now. It approves nothing."""

    slug = "release-invalid"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, path: Path, problems: Sequence[str], hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__(
            f"The release record {path} approves nothing: {'; '.join(self.problems)}.",
            hint=hint or "Restore the record from git, or delete it and have the model approved again.",
        )

    def details(self) -> dict[str, object]:
        """And why it approves nothing."""
        return {**super().details(), "problems": list(self.problems)}


class SketchUnreadable(FactoryError):
    """sketch.json is not what this version of the runtime writes."""

    slug = "sketch-unreadable"

    def __init__(self, *, expected: int, reason: str) -> None:
        super().__init__(
            f"The model package's sketch.json cannot be read: {reason}; this runtime reads format {expected}.",
            hint="Train again with this version of the runtime: the project's `run` command.",
        )


class BatchUnusable(FactoryError):
    """No row of the batch can be answered; `rejects` is the file with the reasons, where there is one."""

    slug = "batch-unusable"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, source: Path, problems: Sequence[str], rejects: Path | None = None) -> None:
        self.problems = tuple(problems)
        self.rejects = rejects
        where = f"The reasons for each row are in {rejects}. " if rejects else ""
        super().__init__(
            "\n".join([f"No row of {source} can be answered:", *(f"  {p}" for p in self.problems)]),
            hint=f"{where}The columns must be as in data.contract of usecase.yaml.",
        )

    def details(self) -> dict[str, object]:
        """And the commonest problems, and the file with the reason of each row."""
        rejects = str(self.rejects) if self.rejects else None
        return {**super().details(), "problems": list(self.problems), "rejects": rejects}


class OutputRefused(FactoryError):
    """The file that the predictions are to go to cannot be it."""

    slug = "output-refused"

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            f"The predictions cannot be written to {path}: {problem}.", hint="Name another file with `--out`."
        )


class NothingCaptured(FactoryError):
    """The endpoint has captured no requests of the deployed model."""

    slug = "nothing-captured"

    def __init__(self, *, stage: str, folder: Path) -> None:
        super().__init__(
            f"No requests to the model deployed in stage {stage} are captured in {folder}.",
            hint="Name a file to monitor, or let `serve` answer some requests first.",
        )


class NotTold(FactoryError):
    """What was found is written down, but somebody who was to be told was not."""

    slug = "not-told"

    def __init__(self, *, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(["Not everybody was told:", *(f"  {p}" for p in self.problems)]),
            hint="Correct monitoring.notify in usecase.yaml, or the variables that hold the address and the password.",
        )

    def details(self) -> dict[str, object]:
        """And each channel that failed."""
        return {**super().details(), "problems": list(self.problems)}


class LabelsUnusable(FactoryError):
    """A file of true values that cannot be joined to any prediction."""

    slug = "labels-unusable"

    def __init__(self, *, source: Path, problem: str) -> None:
        super().__init__(
            f"The true values in {source} cannot be used: {problem}.",
            hint="A file of labels has the target's column and `request_id` (and `row`) or the column that data.id names.",
        )


class AddressUnavailable(FactoryError):
    """The service cannot listen on this address."""

    slug = "address-unavailable"

    def __init__(self, *, host: str, port: int, problem: str) -> None:
        super().__init__(
            f"Cannot listen on {host}, port {port}: {problem}.",
            hint="Choose another with `--port`, or stop what uses this one.",
        )
