"""What a rehearsal saw, as values: resources made, found and used, and what the emulator could not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ai_factory_infra.automation.progress import kind_of
from ai_factory_infra.rehearsal.emulator import Call

EMULATOR_LACKS = ("not implemented", "not yet implemented", "notimplemented", "statuscode: 501", "statuscode: 500")


@dataclass(frozen=True, slots=True)
class Made:
    """One resource that stands in the state after `up`.

    `found`: what the emulator said when it was asked after it ("" where it was not); `used`: what came of calling it.
    """

    type: str
    name: str
    id: str
    found: str = ""
    used: str = ""
    lost: bool = False

    @property
    def kind(self) -> str:
        """`sagemaker Endpoint`."""
        return kind_of(self.type)


@dataclass(frozen=True, slots=True)
class Failed:
    """A resource that could not be made, and the provider's words."""

    stack: str
    kind: str
    name: str
    reason: str

    @property
    def is_emulators(self) -> bool:
        """Whether the emulator, not the program, is what fell short."""
        return any(words in self.reason.lower() for words in EMULATOR_LACKS)


@dataclass(frozen=True, slots=True)
class StackRecord:
    """One stack: what it reads, what was made in how many seconds, what failed, and whether all of it went again."""

    stack: str
    reads: Sequence[str]
    made: Sequence[Made]
    failed: Sequence[Failed] = ()
    seconds: float = 0.0
    destroyed: str = ""

    @property
    def kinds(self) -> Counter[str]:
        """How many of each kind were made."""
        return Counter(m.kind for m in self.made)


@dataclass(frozen=True, slots=True)
class Record:
    """A whole rehearsal."""

    stage: str
    account: str
    region: str
    stacks: Sequence[StackRecord]
    unanswered: Sequence[tuple[Call, int]]
    seconds: float

    @property
    def made(self) -> int:
        """How many resources stood."""
        return sum(len(s.made) for s in self.stacks)

    @property
    def faults(self) -> Sequence[str]:
        """What the programs, not the emulator, are to blame for."""
        wrong = [
            f"{f.stack}: {f.kind} {f.name}: {f.reason}" for s in self.stacks for f in s.failed if not f.is_emulators
        ]
        stayed = [f"{s.stack}: {s.destroyed}" for s in self.stacks if s.destroyed not in ("", "destroyed")]
        return (*wrong, *stayed)
