"""Run a stack's program without a cloud and see what it registers: inputs, and the options that mocks do not show.

    stage = run_stage(Path("infra"), "dev")
    stage["serving"].only("aws:sagemaker/endpoint:Endpoint").inputs["name"]

Assert on what was registered, never inside `apply`: with an output that stays unknown such an assertion never runs.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CoroutineType
from typing import Any

import pulumi
import yaml
from ai_factory_spec.naming import STAGES

from ai_factory_infra.automation.programs import configured_stages, program_folders, programs
from ai_factory_infra.config import ConfigError
from ai_factory_infra.errors import ProgramRefused, StackNotFound
from ai_factory_infra.recording import ACCOUNT, REGION, Answers, Monitor, Registered, Registration

__all__ = [
    "ACCOUNT",
    "REGION",
    "Registered",
    "Registration",
    "run_program",
    "run_resources",
    "run_stage",
    "run_stage_once",
    "settings",
    "stages",
]


def settings(program: Path, stage: str) -> tuple[str, dict[str, str]]:
    """A program's project name, and its configuration for one stage as Pulumi would give it."""
    project = yaml.safe_load((program / "Pulumi.yaml").read_text(encoding="utf-8"))
    name, values = str(project["name"]), dict[str, str]()
    declared = {k: v.get("default") if isinstance(v, dict) else v for k, v in (project.get("config") or {}).items()}
    file = program / f"Pulumi.{stage}.yaml"
    given = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("config") or {}
    for key, value in (declared | given).items():
        text = value if isinstance(value, str) else json.dumps(value)
        values[key if ":" in key else f"{name}:{key}"] = text
    return name, values


def run_program(
    program: Path,
    stage: str,
    *,
    exports: Mapping[str, Mapping[str, Any]] | None = None,
    config: Mapping[str, str] | None = None,
    preview: bool = False,
    account: str = ACCOUNT,
) -> Registered:
    """Run one program's `__main__.py`. `exports`: what other projects export; `config`: keys to set instead of the file's;
    `account`: the account that it runs in, twelve digits.

    With `preview` nothing has been made yet. Whatever the program raises is raised here.
    """
    name, values = settings(program, stage)
    values |= {f"{name}:{key}": value for key, value in (config or {}).items()}
    return _run(name, stage, values, exports or {}, lambda: _main(program), preview, account)


def run_resources(build: Any, *, stage: str = "dev", config: Mapping[str, str] | None = None) -> Registered:
    """Run a function that makes resources, as if it were a program of the project `test`."""
    values = {f"test:{key}": value for key, value in (config or {}).items()}
    return _run("test", stage, values, {}, build, preview=False)


def run_stage(
    infra: Path, stage: str, *, config: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Registered]:
    """Run every program of a folder for one stage, in order, each reading what the ones before it export.

    Raises StackNotFound, StackOrderError, and ProgramRefused for the first program that refuses its settings or inputs.
    """
    done: dict[str, Registered] = {}
    exports: dict[str, Mapping[str, Any]] = {}
    for program in programs(infra, stage):
        stack = program.stack
        try:
            done[stack] = run_program(program.folder, stage, exports=exports, config=(config or {}).get(stack))
        except (ConfigError, pulumi.InputPropertiesError) as error:
            raise ProgramRefused(refused=[(stack, str(error))]) from error
        exports[done[stack].project] = done[stack].outputs
    return done


@functools.cache
def run_stage_once(infra: Path, stage: str) -> Mapping[str, Registered]:
    """`run_stage` with the files as they are, once for each stage: for tests that only look."""
    return run_stage(infra, stage)


def stages(infra: Path) -> list[str]:
    """The stages that every program of a folder is configured for, dev first. Raises StackNotFound where there is none."""
    configured = {f.name: configured_stages(f) for f in program_folders(infra)}
    found = [s for s in STAGES if configured and all(s in names for names in configured.values())]
    if not found:
        some = next((s for s in STAGES if any(s in names for names in configured.values())), STAGES[0])
        raise StackNotFound(
            infra=infra, stage=some, missing=[f for f, names in configured.items() if some not in names]
        )
    return found


def _main(program: Path) -> None:
    """Run it as Pulumi does: what lies beside it can be imported, and is forgotten for the next program."""
    folder, before = program.resolve(), set(sys.modules)
    beside = {file.stem for file in folder.iterdir()}
    sys.path.insert(0, str(folder))
    try:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in beside:
                del sys.modules[name]


def _run(
    project: str,
    stage: str,
    values: Mapping[str, str],
    exports: Mapping[str, Mapping[str, Any]],
    build: Any,
    preview: bool,
    account: str = ACCOUNT,
) -> Registered:
    seen = Registered(project)
    answers = Answers(exports, seen, preview=preview, account=account)
    failure: Exception | None = None
    with _uncollected():
        with _own_loop():
            pulumi.runtime.settings.set_root_resource(None)  # type: ignore[arg-type]  # a stack of its own for each program
            pulumi.runtime.set_all_config(dict(values))
            pulumi.runtime.set_mocks(
                answers, project=project, stack=stage, preview=preview, monitor=Monitor(answers, seen)
            )
            try:
                _export_of(build, seen)
            except Exception as error:  # noqa: BLE001 - raised again, once what it left behind is ended
                failure = _without_frames(error)
        if failure is not None:
            _hush()
    if failure is not None:
        raise failure
    # Pulumi registers from several threads at once: what has no dependency comes in another order each time.
    seen.resources.sort(key=lambda resource: resource.urn)
    seen.reads.sort()
    return seen


def _export_of(build: Any, seen: Registered) -> None:
    exported: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
    def program() -> pulumi.Output[Any]:
        build()
        root = pulumi.runtime.get_root_resource()
        exported.update(getattr(root, "outputs", {}) or {})
        return pulumi.Output.all(**exported).apply(seen.outputs.update)

    program()


@contextmanager
def _own_loop() -> Iterator[None]:
    """An event loop for one program; what a program that fails leaves unfinished ends with it, quietly."""
    loop, path = asyncio.new_event_loop(), list(sys.path)
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        sys.path[:] = path
        unfinished = asyncio.all_tasks(loop)
        for task in unfinished:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()
        # Both keep what a failed program had begun: the error with its frames, and outputs that nobody awaits.
        pulumi.runtime.settings.SETTINGS.rpc_manager.clear()
        pulumi.runtime.settings.SETTINGS.outputs.clear()


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection in between: nearly everything Pulumi makes here lives to the end, and looking through it takes time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _hush() -> None:
    """What a failed program has begun would warn of its end whenever it is collected, in whatever runs then: it is ended here.

    All of it is young, because nothing was collected since the program began.
    """
    for left in gc.get_objects(generation=0):
        if type(left) is CoroutineType:
            if inspect.getcoroutinestate(left) == inspect.CORO_CREATED:
                left.close()
        elif issubclass(type(left), asyncio.Future) and left.done() and not left.cancelled():
            left.exception()


def _without_frames(error: Exception) -> Exception:
    """The error with its traceback as text: its frames hold on to everything the program had begun."""
    error.add_note("".join(traceback.format_exception(error)))
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
