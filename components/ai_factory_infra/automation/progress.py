"""What is being done, as it happens: a line for each resource, and on a terminal a status line below them."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from pulumi.automation.events import EngineEvent, OpType, PolicyEvent, StepEventMetadata
from rich.console import Console
from rich.markup import escape

# What the engine calls a step: its sign, the word for what will be, and for what was done. Others change nothing.
STEPS: Mapping[str, tuple[str, str, str]] = {
    "create": ("+", "create", "created"),
    "update": ("~", "update", "updated"),
    "delete": ("-", "delete", "deleted"),
    "create-replacement": ("+", "create anew", "created anew"),
    "delete-replaced": ("-", "delete the old", "old deleted"),
    "replace": ("±", "replace", "replaced"),
    "import": ("=", "take over", "taken over"),
    "discard": ("<", "let go", "let go"),
    "discard-replaced": ("<", "let go the old", "old let go"),
}
COLOURS = {"+": "green", "~": "yellow", "-": "red", "±": "yellow", "=": "cyan", "<": "magenta"}
MARKUP = re.compile(r"<\{%.*?%\}>")


@dataclass(frozen=True, slots=True)
class Step:
    """One resource that an operation changed, or would change. `kind` is `sagemaker Endpoint`."""

    action: str
    type: str
    name: str
    urn: str
    id: str = ""
    failed: bool = False
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """`aws:sagemaker/endpoint:Endpoint` as people say it."""
        return kind_of(self.type)


@dataclass(slots=True)
class Seen:
    """What one operation did, in order, and what went wrong."""

    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unchanged: int = 0
    planned: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # URN -> the inputs it is to have

    @property
    def counts(self) -> Counter[str]:
        """How many resources each action met, failures left out."""
        return Counter(step.action for step in self.steps if not step.failed)


def kind_of(token: str) -> str:
    """`aws:sagemaker/endpoint:Endpoint` -> `sagemaker Endpoint`."""
    parts = token.split(":")
    return f"{parts[1].split('/')[0]} {parts[-1]}" if len(parts) == 3 else token


def in_words(counts: Mapping[str, int], *, done: bool) -> str:
    """`3 created, 1 updated`; `nothing to change`, or `nothing changed`."""
    words = [f"{n} {'' if done else 'to '}{STEPS[a][2 if done else 1]}" for a, n in counts.items() if a in STEPS and n]
    return ", ".join(words) or ("nothing changed" if done else "nothing to change")


class Screen:
    """Where progress goes: a terminal with colours, or plain lines in a log."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """One line, or several, as they are."""
        self._console.print(escape(text), style=style or None)

    @contextmanager
    def operation(self, title: str, *, planning: bool, total: int = 0) -> Iterator[Operation]:
        """Follow one operation of the engine. `total`: how many changes a preview promised."""
        operation = Operation(self, planning=planning)
        if not self._console.is_terminal:
            yield operation
            return
        with self._console.status(title) as status:
            operation.tell = lambda text: status.update(
                f"{title} {len(operation.seen.steps)}/{total or '?'} {escape(text)}"
            )
            yield operation


class Operation:
    """Turns the engine's events into lines, and keeps what they said."""

    def __init__(self, screen: Screen, *, planning: bool) -> None:
        self.seen = Seen()
        self.tell: Callable[[str], None] = lambda _text: None
        self._screen, self._planning = screen, planning
        self._began: dict[str, float] = {}

    def on_event(self, event: EngineEvent) -> None:
        """Take one event; the engine sends them from a thread of its own, one after another."""
        if event.resource_pre_event:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._end(event.res_outputs_event.metadata, failed=False)
        elif event.res_op_failed_event:
            self._end(event.res_op_failed_event.metadata, failed=True)
        elif event.policy_event:
            self._violation(event.policy_event)
        elif event.diagnostic_event and event.diagnostic_event.severity == "error":
            text = MARKUP.sub("", event.diagnostic_event.message).strip()
            if text:
                self.seen.errors.append(text)

    def _violation(self, event: PolicyEvent) -> None:
        """A rule of a policy pack that a resource breaks: mandatory ones stop the operation, others are shown."""
        said = " ".join(MARKUP.sub("", event.message).split())
        text = f"{event.policy_name}: {name_of(event.resource_urn or '')}: {said}"
        if event.enforcement_level == "mandatory":
            self.seen.errors.append(text)
        else:
            self._screen.say(f"  ? {text}", "yellow")

    def _begin(self, step: StepEventMetadata) -> None:
        self._began[step.urn] = time.monotonic()
        if _is_real(step):
            self.tell(f"{kind_of(step.type)} {name_of(step.urn)}")
            if self._planning:
                self._note(step, failed=False, seconds=0.0)
                if step.new and OpType(step.op) is not OpType.SAME:
                    self.seen.planned[step.urn] = step.new.inputs or {}
            if OpType(step.op) is OpType.SAME:
                self.seen.unchanged += 1

    def _end(self, step: StepEventMetadata, *, failed: bool) -> None:
        if _is_real(step) and not self._planning:
            self._note(step, failed=failed, seconds=time.monotonic() - self._began.get(step.urn, time.monotonic()))

    def _note(self, step: StepEventMetadata, *, failed: bool, seconds: float) -> None:
        action = OpType(step.op).value
        if action not in STEPS:
            return
        found = step.new or step.old
        made = Step(action, step.type, name_of(step.urn), step.urn, found.id if found else "", failed, seconds)
        self.seen.steps.append(made)
        sign, will, did = STEPS[action]
        word = "failed to " + will if failed else (will if self._planning else did)
        took = f"  {seconds:.0f} s" if seconds >= 1 else ""
        self._screen.say(
            f"  {'!' if failed else sign} {word:<14} {made.kind:<34} {made.name}{took}",
            COLOURS[sign] if not failed else "red",
        )


def name_of(urn: str) -> str:
    """A resource's logical name: what its URN ends with."""
    return urn.rsplit("::", 1)[-1]


def _is_real(step: StepEventMetadata) -> bool:
    """A resource of the cloud: no component, no stack, no provider, no reference to another stack."""
    found = step.new or step.old
    return bool(found and found.custom) and not step.type.startswith("pulumi:")
