"""preview, up and destroy: every stack of a stage, in order and in reverse, each after its own preview and a yes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulumi.automation import PulumiCommand

from ai_factory_infra.automation import backend, identity, live_endpoint, trial
from ai_factory_infra.automation.engine import Engine, pulumi_command
from ai_factory_infra.automation.programs import Program, chosen, programs
from ai_factory_infra.automation.progress import Screen, Seen, in_words
from ai_factory_infra.automation.scaled_variants import InTheWay, in_the_way
from ai_factory_infra.errors import NotConfirmed, StateUnusable, UpdateFailed


@dataclass(frozen=True, slots=True)
class Session:
    """One command on one stage. `only`: these stacks, not all; `yes`: nobody is asked."""

    infra: Path
    stage: str
    only: tuple[str, ...] = ()
    yes: bool = False
    screen: Screen = field(default_factory=Screen)
    environment: Mapping[str, str] = field(default_factory=dict)

    def ready(self, *, makes: bool = True) -> Ready:
        """Everything that can be refused is refused here, before anything is made: order, state, account, programs.

        `makes`: the programs are run, so what they refuse counts.
        """
        command = pulumi_command()
        every = programs(self.infra, self.stage)
        found = chosen(every, self.only, self.infra)
        backend.refuse_without_passphrase(found, {**os.environ, **self.environment})
        self._account(found)
        if makes:
            self._try(every, {p.stack for p in found})
        return Ready(self, command, found)

    def _try(self, every: tuple[Program, ...], asked: set[str]) -> None:
        """Run the programs without a cloud; refuse what one of those that are asked for refuses. Raises ProgramRefused."""
        came_of = [t for t in trial.tried(every) if t.stack in asked]
        trial.refuse(came_of)
        for one in came_of:
            if one.unsure:
                self.screen.say(f"{one.stack}: could not be tried beforehand ({one.unsure}).", "yellow")

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
                f"No account is named for this stage (`account` in infra/STACK/Pulumi.{self.stage}.yaml), so none is refused.",
                "yellow",
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
        planned = engine.preview()
        session.screen.say(in_words(planned.counts, done=False))
        _in_the_way(session, engine, planned)


def up(session: Session) -> None:
    """Make or change every stack in order; then ask AWS whether each endpoint runs what was rolled out."""
    ready = session.ready()
    for engine in ready.engines():
        engine.recover()  # before the preview: what was made meanwhile is not planned again
        planned = engine.preview()
        session.screen.say(in_words(planned.counts, done=False))
        scaled = _in_the_way(session, engine, planned)
        _confirm(session, engine, "update", planned)
        session.screen.say(in_words(_updated(session, engine, planned, scaled).counts, done=True))
        for told in live_endpoint.check(engine.resources(), engine.program.region):
            session.screen.say(f"{told.endpoint} runs {told.configuration}.", "green")


def destroy(session: Session) -> None:
    """Destroy every stack, last first. What is protected stays, stops it and is named."""
    ready = session.ready(makes=False)
    for engine in ready.engines(backwards=True):
        planned = engine.preview_destroy()
        session.screen.say(in_words(planned.counts, done=False))
        _confirm(session, engine, "destruction", planned)
        session.screen.say(in_words(engine.destroy(sum(planned.counts.values())).counts, done=True))


def check(session: Session) -> None:
    """Only what comes before: program, order, account, state."""
    ready = session.ready()
    session.screen.say("In order: " + ", ".join(p.stack for p in ready.programs) + ".")


def _in_the_way(session: Session, engine: Engine, planned: Seen) -> tuple[InTheWay, ...]:
    """The autoscaling that AWS would refuse this update for; said before anybody is asked."""
    found = in_the_way(engine.resources(), planned.planned, engine.program.region) if planned.planned else ()
    for scaled in found:
        session.screen.say(
            f"{scaled}: AWS refuses that while it is scaled automatically, so its scaling is taken away first; the same "
            "update brings it back.",
            "yellow",
        )
    return found


def _updated(session: Session, engine: Engine, planned: Seen, scaled: tuple[InTheWay, ...]) -> Seen:
    """The update, once what is in its way is taken away; one that does not end well says which variants are not scaled now."""
    try:
        if scaled:
            engine.let_go([s.urn for s in scaled])
        return engine.up(sum(planned.counts.values()))
    except (UpdateFailed, KeyboardInterrupt):
        _tell_unscaled(session, engine, scaled)
        raise


def _tell_unscaled(session: Session, engine: Engine, scaled: tuple[InTheWay, ...]) -> None:
    """Say which variants are not scaled now; which may not be, where the state does not tell."""
    there, verb = set[str](), "is not"
    try:
        there = {r["urn"] for r in engine.resources()} if scaled else there
    except StateUnusable:  # what made the update fail is what must be told
        verb = "may not be"
    for each in (s for s in scaled if s.urn not in there):
        session.screen.say(f"{each.endpoint}: {each.variant} {verb} scaled until an `up` goes through.", "yellow")


def _confirm(session: Session, engine: Engine, verb: str, planned: Seen) -> None:
    """Return once somebody has said yes to the preview. What changes nothing needs no yes. Raises NotConfirmed."""
    if session.yes or not planned.counts:
        return
    asked = sys.stdin.isatty()
    if not asked or _answer(f"{engine.program.stack}: go on? [y/N] ") not in ("y", "yes"):
        raise NotConfirmed(verb=verb, stack=engine.program.stack, asked=asked)


def _answer(question: str) -> str:
    """What somebody types; nothing where they end the input instead."""
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""
