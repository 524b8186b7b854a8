"""Every refusal of the runtime, as a tree. Constructors take facts and build the sentence.

FactoryError (ai_factory_spec.errors)
├── NotAProject            no usecase.yaml here or above                                  exit 1
├── DataUnreadable         the data file is missing, empty, corrupt or in another encoding       1
├── DataUnusable           the rows cannot teach or judge a model (too few, one class, …)        1
├── ContractBroken         the rows are not what the contract says                               4
├── LeakageFound           a feature or a split knows the answer                                 4
├── GateFailed             the model misses what was agreed                                      4
├── ProjectCodeFailed      data.py, features.py or model.py raised                               1
├── PiiKeyMissing          a column is to be hashed or tokenised and there is no key             1
├── WriteFailed            the disk is full or read-only                                         1
├── RunLocked              another run is at work here                                           1
├── RegistryUnavailable    the registry cannot be opened, or is locked                           1
├── UnknownRun             no run of that id                                                     1
├── UnknownVersion         no model version of that number                                       1
├── ModelUnusable          a model package cannot be trusted                                     4
│   ├── TamperedModel      a file is not the one that was registered
│   ├── UntrustedModel     the model holds a type that is not on the list
│   └── ParityBroken       the model does not give the outputs recorded at registration
├── NothingDeployed        a stage has no model                                                  1
└── NotApproved            a release lacks approvals                                             4
"""

# ruff: noqa: N818 - the names say what happened; all are raised, none needs "Error" to be told from a value.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, FactoryError

if TYPE_CHECKING:
    from ai_factory_runtime.base.gate_result import GateResult
    from ai_factory_runtime.base.leak import Leak
    from ai_factory_runtime.base.violations import Violation


class NotAProject(FactoryError):
    """There is no usecase.yaml in the folder or above it."""

    slug = "not-a-project"

    def __init__(self, *, looked_in: Path) -> None:
        super().__init__(
            f"No usecase.yaml in {looked_in} or in any folder above it.",
            hint="Go to the project's folder, or name it in the variable AI_FACTORY_PROJECT.",
        )


class DataUnreadable(FactoryError):
    """The data cannot be read as a table at all. `problem` says why."""

    slug = "data-unreadable"
    HINT = "data.source in usecase.yaml names where the rows are; data.py decides how they are read."

    def __init__(self, *, path: Path | str, problem: str, hint: str = "") -> None:
        self.path, self.problem = path, problem
        super().__init__(f"Cannot read {path}: {problem}", hint=hint or self.HINT)


class DataUnusable(FactoryError):
    """The rows satisfy the contract, yet no model can be taught or judged with them."""

    slug = "data-unusable"

    def __init__(self, *, problem: str, hint: str) -> None:
        super().__init__(f"The data cannot be used: {problem}", hint=hint)


class ContractBroken(FactoryError):
    """The rows are not what the data contract says. `violations` holds all of them."""

    slug = "contract-broken"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, rows: int, bad_rows: int, allowed: float, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        ways = f"{len(self.violations)} way{'s' if len(self.violations) != 1 else ''}"
        head = (
            f"The data breaks its contract in {ways}; {bad_rows} of {rows} rows are bad, at most {allowed:.2%} may be:"
        )
        lines = [head, *(f"  {violation}" for violation in self.violations)]
        super().__init__(
            "\n".join(lines),
            hint="Repair the data, or change data.contract in usecase.yaml where the data is right "
            "(data.contract.max_bad_rows sets bad rows aside).",
        )
        self.counts = {"rows": rows, "bad_rows": bad_rows, "allowed": allowed}

    def details(self) -> dict[str, object]:
        """And the rows, how many are bad, which share may be, and every violation."""
        return {**super().details(), **self.counts, "violations": [asdict(v) for v in self.violations]}


class LeakageFound(FactoryError):
    """A feature or the split gives the answer away; a model trained on it would fail in production."""

    slug = "leakage-found"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, leaks: Sequence[Leak]) -> None:
        self.leaks = tuple(leaks)
        lines = ["The data gives the answer away:", *(f"  {leak}" for leak in self.leaks)]
        super().__init__(
            "\n".join(lines), hint=" ".join({leak.remedy: None for leak in self.leaks}) + " Then run again."
        )

    def details(self) -> dict[str, object]:
        """And every leak."""
        return {**super().details(), "leaks": [asdict(leak) for leak in self.leaks]}


class GateFailed(FactoryError):
    """The model misses what was agreed; nothing was registered. `results` holds the gates that failed."""

    slug = "gate-failed"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, results: Sequence[GateResult], card: Path) -> None:
        self.results = tuple(results)
        self.card = card
        count = len(self.results)
        lines = [f"{count} gate{'s' if count != 1 else ''} failed; nothing was registered:"]
        lines += [f"  {result}" for result in self.results]
        super().__init__(
            "\n".join(lines),
            hint=f"The figures are in {card}. Improve the model, or change acceptance in usecase.yaml.",
        )

    def details(self) -> dict[str, object]:
        """And the gates that failed, and where the card is."""
        return {**super().details(), "gates": [asdict(result) for result in self.results], "card": str(self.card)}


class ProjectCodeFailed(FactoryError):
    """The project's own code raised, or returned something that cannot be used."""

    slug = "project-code-failed"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(f"{where} failed: {problem}", hint=f"Correct {where.split(':')[0]} and run again.")


class PiiKeyMissing(FactoryError):
    """A column is to be hashed or tokenised, and the key is not set."""

    slug = "pii-key-missing"

    def __init__(self, *, columns: Sequence[str], variable: str, shortest: int) -> None:
        super().__init__(
            f"usecase.yaml asks to hash or tokenise {', '.join(map(repr, columns))}, and the variable {variable} holds no key of at least "
            f"{shortest} characters.",
            hint=f"Set {variable} to a secret of {shortest} characters or more, or use `action: drop`.",
        )


class WriteFailed(FactoryError):
    """Nothing could be written: the disk is full, or the folder is read-only."""

    slug = "write-failed"

    def __init__(self, *, path: Path | str, problem: str) -> None:
        super().__init__(
            f"Cannot write {path}: {problem}.",
            hint="Free disk space or correct the folder's permissions, then run again.",
        )


class RunLocked(FactoryError):
    """Another run is at work in this project."""

    slug = "run-locked"

    def __init__(self, *, lock: Path, holder: str) -> None:
        super().__init__(
            f"Another run is at work in this project ({holder}); it holds {lock}.",
            hint="Wait for it to end, then run again. The lock goes with its process: there is nothing to delete.",
        )


class RegistryUnavailable(FactoryError):
    """The registry's database or server cannot be reached, is locked, or is no registry."""

    slug = "registry-unavailable"

    def __init__(self, *, address: str, problem: str, hint: str = "") -> None:
        super().__init__(
            f"The model registry {address} does not answer: {problem}",
            hint=hint
            or "See that its address is right, and that its file can be read or its server runs, then run again.",
        )


class UnknownRun(FactoryError):
    """There is no run of that id."""

    slug = "unknown-run"

    def __init__(self, *, run_id: str, known: Sequence[str]) -> None:
        newest = ", ".join(known[-3:]) or "none yet"
        super().__init__(
            f"There is no run {run_id!r}. The newest runs: {newest}.", hint="`show` without an argument lists them."
        )


class UnknownVersion(FactoryError):
    """There is no model version of that number."""

    slug = "unknown-version"

    def __init__(self, *, version: int | str, known: Sequence[int]) -> None:
        listed = ", ".join(map(str, known)) or "none yet"
        super().__init__(
            f"There is no model version {version}. Registered: {listed}.", hint="`run` trains and registers one."
        )


class ModelUnusable(FactoryError):
    """A model package that must not be loaded or used."""

    slug = "model-unusable"
    exit_code = EXIT_CHECKS_FAILED


class TamperedModel(ModelUnusable):
    """A file of the package is not the one that was registered; nothing of it was loaded."""

    slug = "model-tampered"

    def __init__(self, *, folder: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            f"The model package {folder} is not what was registered: {'; '.join(self.problems)}.",
            hint="Do not use it. Restore the folder from a backup, or train again with `run`.",
        )

    def details(self) -> dict[str, object]:
        """And what is not as it was registered."""
        return {**super().details(), "problems": list(self.problems)}


class UntrustedModel(ModelUnusable):
    """The model holds a type that is not on the list of trusted types; nothing of it was loaded."""

    slug = "model-untrusted"

    def __init__(self, *, folder: Path | str, types: Sequence[str]) -> None:
        self.types = tuple(types)
        super().__init__(
            f"The model in {folder} holds types that are not trusted: {', '.join(self.types)}. "
            "Trusted are scikit-learn's estimators, numpy's arrays and the classes of the project's own package.",
            hint="Use scikit-learn's classes in features.py and model.py, or define your class inside the project's package.",
        )


class ParityBroken(ModelUnusable):
    """The model does not give the outputs that were recorded when it was registered."""

    slug = "parity-broken"

    def __init__(self, *, folder: Path, rows: int, wrong: int, example: str) -> None:
        super().__init__(
            f"The model in {folder} gives other outputs than at registration for {wrong} of {rows} reference rows: {example}.",
            hint="The libraries or the project's classes have changed since. Install constraints.txt, or train again with `run`.",
        )


class NothingDeployed(FactoryError):
    """A stage has no model."""

    slug = "nothing-deployed"

    def __init__(self, *, stage: str, hint: str) -> None:
        super().__init__(f"No model is deployed in stage {stage}.", hint=hint)


class NotApproved(FactoryError):
    """A release lacks approvals. `missing` holds the roles that have not signed."""

    slug = "not-approved"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, release: str, stage: str, missing: Sequence[str], hint: str) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"{release} is not approved for stage {stage}; still to sign: {', '.join(self.missing)}.", hint=hint
        )

    def details(self) -> dict[str, object]:
        """And the roles that have not signed."""
        return {**super().details(), "missing": list(self.missing)}
