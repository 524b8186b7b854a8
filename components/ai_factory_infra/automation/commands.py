"""preview, up and destroy: every stack of a stage, in order and in reverse, each after its own preview and a yes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulumi.automation import PulumiCommand

from ai_factory_infra.automation import backend, identity, live_endpoint
from ai_factory_infra.automation.engine import Engine, pulumi_command
from ai_factory_infra.automation.programs import Program, chosen, programs
from ai_factory_infra.automation.progress import Screen, Seen, in_words
from ai_factory_infra.errors import NotConfirmed


@dataclass(frozen=True, slots=True)
class Session:
    """One command on one stage. `only`: these stacks, not all; `yes`: nobody is asked."""

    infra: Path
    stage: str
    only: tuple[str, ...] = ()
    yes: bool = False
    screen: Screen = field(default_factory=Screen)
    environment: Mapping[str, str] = field(default_factory=dict)

    def ready(self) -> Ready:
        """Everything that can be refused is refused here, before anything is made: program, order, account, state."""
        command = pulumi_command()
        found = chosen(programs(self.infra, self.stage), self.only, self.infra)
        environment = {**os.environ, **self.environment}
        for program in found:
            backend.refuse_without_passphrase([program], backend.state_url(program, environment), environment)
        self._account(found)
        return Ready(self, command, found)

    def _account(self, found: tuple[Program, ...]) -> None:
        if identity.checks_itself(found):
            self.screen.say(
                "The credentials come from a Pulumi environment: the provider itself refuses a wrong account."
            )
            return
        who = identity.caller(found[0].region)
        identity.refuse_wrong_account(found, who)
        named = all(p.account for p in found)
        self.screen.say(f"Account {who.account} as {who.arn}, region {found[0].region}, stage {self.stage}.")
        if not named:
            self.screen.say(
                "No account is named for this stage (`cloud.accounts` of usecase.yaml), so none is refused.", "yellow"
            )


@dataclass(frozen=True, slots=True)
class Ready:
    """A session whose account, state and program are in order."""

    session: Session
    command: PulumiCommand
    programs: tuple[Program, ...]

    def engines(self, *, backwards: bool = False) -> Iterator[Engine]:
        """Every stack's engine, opened when its turn comes."""
        for program in reversed(self.programs) if backwards else self.programs:
            self.session.screen.say(f"\n{program.stack} ({program.project}, {program.stage})", "bold")
            yield Engine(program, self.command, self.session.screen, self.session.environment)


def preview(session: Session) -> None:
    """Show what `up` would change. Nothing is asked, nothing is changed."""
    for engine in session.ready().engines():
        session.screen.say(in_words(engine.preview().counts, done=False))


def up(session: Session) -> None:
    """Make or change every stack in order; then ask AWS whether each endpoint runs what was rolled out."""
    ready = session.ready()
    for engine in ready.engines():
        engine.recover()  # before the preview: what was made meanwhile is not planned again
        planned = _confirmed(session, engine, "update", engine.preview)
        session.screen.say(in_words(engine.up(sum(planned.counts.values())).counts, done=True))
        for told in live_endpoint.check(engine.resources(), engine.program.region):
            session.screen.say(f"{told.endpoint} runs {told.configuration}.", "green")


def destroy(session: Session) -> None:
    """Destroy every stack, last first. What is protected stays, stops it and is named."""
    ready = session.ready()
    for engine in ready.engines(backwards=True):
        planned = _confirmed(session, engine, "destruction", engine.preview_destroy)
        session.screen.say(in_words(engine.destroy(sum(planned.counts.values())).counts, done=True))


def check(session: Session) -> None:
    """Only what comes before: program, order, account, state."""
    ready = session.ready()
    session.screen.say("In order: " + ", ".join(p.stack for p in ready.programs) + ".")


def _confirmed(session: Session, engine: Engine, verb: str, look: Callable[[], Seen]) -> Seen:
    """The preview, once somebody has said yes to it. What changes nothing needs no yes. Raises NotConfirmed."""
    planned = look()
    session.screen.say(in_words(planned.counts, done=False))
    if session.yes or not planned.counts:
        return planned
    asked = sys.stdin.isatty()
    if not asked or input(f"{engine.program.stack}: go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise NotConfirmed(verb=verb, stack=engine.program.stack, asked=asked)
    return planned
