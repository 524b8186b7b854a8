"""The course of a rehearsal: guard, emulator, `up` of every stack in order, ask, use, `destroy` in reverse, report."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ai_factory_infra.automation import trial
from ai_factory_infra.automation.engine import Engine, pulumi_command
from ai_factory_infra.automation.programs import Program, programs
from ai_factory_infra.automation.progress import Screen, Step, in_words, name_of
from ai_factory_infra.emulated import NOBODY
from ai_factory_infra.errors import ProgramRefused, RehearsalFailed, RehearsalRefused, UpdateFailed
from ai_factory_infra.rehearsal import copies, guard, report
from ai_factory_infra.rehearsal.asking import LOOKS, USES
from ai_factory_infra.rehearsal.emulator import emulator, unanswered
from ai_factory_infra.rehearsal.record import Failed, Made, Record, StackRecord

MOTOS_ACCOUNT = "123456789012"
Resource = Mapping[str, Any]


def rehearse(infra: Path, stage: str, out: Path, screen: Screen) -> Record:
    """Provision a stage on an emulator, show what came of it, take it down, write the report into `out`.

    Raises RehearsalRefused and ProgramRefused before anything is made, RehearsalFailed where a program (not the emulator) fell
    short. Ctrl-C ends it: the emulator, and with it all that was made, is gone.
    """
    command = pulumi_command()
    found = programs(infra, stage)
    guard.refuse_what_is_real(found)
    account = next((p.account for p in found if p.account), MOTOS_ACCOUNT)
    began = time.monotonic()
    with _workplace(screen) as work, emulator(account, work / "calls.jsonl") as address:
        screen.say(f"An AWS emulator answers at {address} as account {account}. Nothing leaves this machine.", "bold")
        copied = programs(copies.copy(found, work, emulator=address, account=account), stage)
        with guard.only(guard.stranger(os.environ, address, work, found[0].region)):
            came_of = list(trial.tried(copied))
            trial.refuse(came_of)
            guard.refuse_other_providers(copied, came_of)
            engines = [Engine(p, command, screen, {}) for p in copied]
            stacks = [_up(e, screen) for e in engines]
            stacks = [_asked(s, e, address, screen) for s, e in zip(stacks, engines, strict=True)]
            gone = [_down(e, screen) for e in reversed(engines)]
        stacks = [replace(s, destroyed=g) for s, g in zip(stacks, reversed(gone), strict=True)]
        lacks = unanswered(work / "calls.jsonl")
    record = Record(stage, account, found[0].region, stacks, lacks, time.monotonic() - began)
    screen.say("\n" + report.text(record))
    screen.say(f"\nThe whole of it: {report.write(record, out)}", "bold")
    if record.faults:
        raise RehearsalFailed(problems=record.faults, page=out)
    return record


@contextmanager
def _workplace(screen: Screen) -> Iterator[Path]:
    """A folder for copies and state; kept where something went wrong, and named, so that it can be looked at."""
    work = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    (work / "state").mkdir()
    try:
        yield work
    except (KeyboardInterrupt, RehearsalRefused, ProgramRefused):  # stopped, or nothing was made
        shutil.rmtree(work, ignore_errors=True)
        raise
    except Exception:
        screen.say(f"The copies of the programs and their state are kept in {work}.", "yellow")
        raise
    shutil.rmtree(work, ignore_errors=True)


def _up(engine: Engine, screen: Screen) -> StackRecord:
    program = engine.program
    screen.say(f"\n{program.stack}: up", "bold")
    began = time.monotonic()
    failed: Sequence[Failed] = ()
    try:
        seen = engine.up(keep_going=True)
        screen.say(in_words(seen.counts, done=True))
    except UpdateFailed as error:
        failed = _failed(program, error)
        for f in failed:
            screen.say(f"  {f.kind} {f.name}: {f.reason.splitlines()[0]}", "red")
    made = tuple(Made(r["type"], name_of(r["urn"]), str(r.get("id", ""))) for r in _real(engine.resources()))
    return StackRecord(program.stack, sorted(program.reads), made, failed, time.monotonic() - began)


def _failed(program: Program, error: UpdateFailed) -> Sequence[Failed]:
    """One entry a resource that failed, with the reason that names it; a program that failed as a whole is one entry."""
    steps: Sequence[Step] = [s for s in getattr(error.seen, "steps", ()) if s.failed]
    reasons: Sequence[str] = getattr(error.seen, "errors", ()) or [str(error)]
    if not steps:
        return [Failed(program.stack, "program", program.project, "\n".join(reasons))]
    by_name = [(s, next((r for r in reasons if s.name in r), reasons[0])) for s in steps]
    return [Failed(program.stack, s.kind, s.name, reason) for s, reason in by_name]


def _asked(stack: StackRecord, engine: Engine, address: str, screen: Screen) -> StackRecord:
    """Ask the emulator for everything that was made, and call what can be called."""
    client = _client(address, engine.program.region)
    outputs = {r["urn"]: {"id": r.get("id"), **(r.get("outputs") or {})} for r in _real(engine.resources())}
    screen.say(f"\n{stack.stack}: asked after and used", "bold")
    made = []
    for resource, (urn, values) in zip(stack.made, outputs.items(), strict=True):
        assert name_of(urn) == resource.name
        answered = _tried(LOOKS, resource.type, client, values)
        used = _tried(USES, resource.type, client, values)
        if used:
            screen.say(f"  {resource.kind:<34} {resource.name:<40} {used[1]}", "" if used[0] else "yellow")
        lost = bool(answered and not answered[0])
        found = "" if not answered else "there" if answered[0] else f"not there: {answered[1]}"
        made.append(replace(resource, found=found, used=used[1] if used else "", lost=lost))
    return replace(stack, made=tuple(made))


def _tried(table: Mapping[str, Any], kind: str, client: Any, values: Mapping[str, Any]) -> tuple[bool, str] | None:
    """Whether it went well and what was said; None where the table does not know the type."""
    if kind not in table:
        return None
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return True, str(table[kind](client, values))
    except (BotoCoreError, ClientError, LookupError) as error:
        return False, re.sub(r"^An error occurred \((\w+)\).*?: ", r"\1: ", str(error)).splitlines()[0][:160]


def _down(engine: Engine, screen: Screen) -> str:
    """Destroy a stack; `destroyed`, or what stood in the way."""
    screen.say(f"\n{engine.program.stack}: destroy", "bold")
    try:
        engine.unprotect()
        screen.say(in_words(engine.destroy().counts, done=True))
    except UpdateFailed as error:
        screen.say(str(error), "red")
        return str(error)
    return "destroyed"


def _client(address: str, region: str) -> Any:
    """Clients of the emulator, by service; they know no other address and no other key."""
    import boto3

    session = boto3.Session(NOBODY, NOBODY, region_name=region)
    return cache(lambda service: session.client(service, endpoint_url=address))


def _real(resources: Sequence[Resource]) -> list[Resource]:
    """Resources of AWS: no components, no providers, no references, nothing that is only waiting to be deleted."""
    return [r for r in resources if r.get("custom") and str(r["type"]).startswith("aws:") and not r.get("delete")]
