"""Engine: Pulumi's own engine on one program, through the Automation API; its failures become this package's errors."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pulumi import automation
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, InvalidVersionError

from ai_factory_infra.automation import half_made, recovery
from ai_factory_infra.automation.asked import AskedAws
from ai_factory_infra.automation.backend import CLOUD, state_url
from ai_factory_infra.automation.programs import Program
from ai_factory_infra.automation.progress import Operation, Screen, Seen
from ai_factory_infra.errors import InfraError, PulumiMissing, StackBusy, StateUnusable, UpdateFailed

Run = Callable[[Operation], Any]
PROTECTED = 'What is protected stays: docs/provision-on-aws.md, "Take a stage down", says how it may go.'
GO_ON = "Mend it and run the same command again: it goes on from here."
STOPPED = "Stopped. What was under way is finished and saved; the same command goes on from there."


def pulumi_command() -> automation.PulumiCommand:
    """The program pulumi on PATH. Raises PulumiMissing, also for one that is too old."""
    try:
        return automation.PulumiCommand()
    except (FileNotFoundError, PermissionError, subprocess.CalledProcessError) as error:
        raise PulumiMissing from error
    except InvalidVersionError as error:
        raise PulumiMissing(found=str(error)) from error


class Engine:
    """One program of one stage, opened in its state back end. A stack that does not exist there yet is made (empty)."""

    def __init__(
        self, program: Program, command: automation.PulumiCommand, screen: Screen, environment: Mapping[str, str]
    ) -> None:
        self.program = program
        self._screen = screen
        try:
            workspace = automation.LocalWorkspace(
                work_dir=str(program.folder), pulumi_command=command, env_vars=dict(environment)
            )
            self._stack = automation.Stack.create_or_select(program.stage, workspace)
        except CommandError as error:
            raise self._unusable(error, environment) from error

    def preview(self) -> Seen:
        """What an update would change. Raises UpdateFailed."""
        hint = f"A stack can be previewed once those that it reads are up: {', '.join(sorted(self.program.reads)) or 'none'}."
        return self._do(
            "preview",
            lambda on: self._stack.preview(on_event=on.on_event, policy_packs=self._packs),
            planning=True,
            hint=hint,
        )

    def up(self, total: int = 0, *, keep_going: bool = False) -> Seen:
        """Make or change everything; an update that was interrupted is finished. Raises UpdateFailed, StackBusy."""
        self.recover()
        run: Run = lambda on: self._stack.up(  # noqa: E731
            on_event=on.on_event, continue_on_error=keep_going or None, policy_packs=self._packs
        )
        return self._do("update", run, total=total)

    @property
    def _packs(self) -> list[str] | None:
        """The policy pack beside the programs; a violation stops the update in every stage but dev."""
        pack = self.program.folder.resolve().parent / "policy"  # whole: pulumi runs in the program's folder
        return [str(pack)] if (pack / "PulumiPolicy.yaml").exists() else None

    def preview_destroy(self) -> Seen:
        """What a destruction would delete."""
        run: Run = lambda on: self._stack.preview_destroy(on_event=on.on_event)  # noqa: E731
        return self._do("preview", run, planning=True, hint=PROTECTED)

    def destroy(self, total: int = 0) -> Seen:
        """Delete everything; what is protected stops it and is named. Raises UpdateFailed, StackBusy."""
        self.recover()
        run: Run = lambda on: self._stack.destroy(on_event=on.on_event)  # noqa: E731
        return self._do("destruction", run, total=total, hint=f"{PROTECTED} {GO_ON}")

    def let_go(self, urns: Sequence[str]) -> Seen:
        """Delete these and what hangs on them, nothing else; the next update makes them again. Raises UpdateFailed, StackBusy."""
        run: Run = lambda on: self._stack.destroy(  # noqa: E731
            on_event=on.on_event, target=list(urns), target_dependents=True
        )
        return self._do("taking autoscaling away", run, total=len(urns))

    def unprotect(self) -> None:
        """Let everything be destroyed. Only a rehearsal may: what it made holds nothing."""
        self.command("state", "unprotect", "--all", "--yes")

    def resources(self) -> Sequence[Mapping[str, Any]]:
        """The state's resources, as Pulumi exports them."""
        return (self._exported().deployment or {}).get("resources") or ()

    def outputs(self) -> Mapping[str, Any]:
        """What the stack exports."""
        return {name: output.value for name, output in self._stack.outputs().items()}

    def command(self, *arguments: str) -> str:
        """Any other command of the program pulumi on this stack; what it printed."""
        workspace = self._stack.workspace
        environment = {str(k): str(v) for k, v in (workspace.env_vars or {}).items()}
        asked = [*arguments, "--stack", self.program.stage]
        try:
            return workspace.pulumi_command.run(asked, str(self.program.folder), environment).stdout
        except ConcurrentUpdateError:
            raise
        except CommandError as error:
            verb = f"`pulumi {' '.join(arguments[:2])}`"
            reasons = [_last_lines(str(error))]
            raise UpdateFailed(verb=verb, stack=self.program.stack, reasons=reasons, hint=GO_ON) from error

    def recover(self) -> None:
        """Put right what an update that was killed left behind: its lock, and resources that it was just making."""
        state = self._exported()
        pending = recovery.pending(state)
        if not pending:
            return
        before = state.deployment or {}
        self._screen.say(f"{self.program.stack}: the last update was interrupted. Asking AWS what became of:", "yellow")
        found = half_made.found(recovery.creations(before), recovery.known_ids(before), AskedAws(self.program.region))
        for operation in pending:
            name = found.ids.get(operation.urn, operation.name)
            left = recovery.left_over(operation, before, found)
            self._screen.say(
                f"  {operation.action} {operation.type} {name}{left and f'  ({left}, so look for it)'}", "yellow"
            )
        with let_it_finish(self._screen):
            self._replace_state(state, recovery.settled(before, found.ids))
            asked = [part for urn in recovery.to_look_at(before, found.ids) for part in ("--target", urn)]
            if asked:
                self._unlocking(lambda: self.command("refresh", "--yes", "--skip-preview", *asked))
                self._replace_state(state, recovery.as_asked_for(self._exported().deployment or {}, before))

    def _replace_state(self, state: automation.Deployment, deployment: Mapping[str, Any]) -> None:
        after = automation.Deployment(state.version, deployment)
        try:
            self._unlocking(lambda: self._stack.import_stack(after))
        except CommandError as error:
            raise self._unusable(error, {}) from error

    def _exported(self) -> automation.Deployment:
        try:
            return self._stack.export_stack()
        except CommandError as error:
            raise self._unusable(error, {}) from error

    def _unusable(self, error: CommandError, environment: Mapping[str, str]) -> StateUnusable:
        where = state_url(self.program, {**os.environ, **environment}) or CLOUD
        return StateUnusable(where=where, reason=_last_lines(str(error)))

    def _do(self, verb: str, run: Run, *, planning: bool = False, total: int = 0, hint: str = GO_ON) -> Seen:
        title = f"{self.program.stack}: {verb}"
        with self._screen.operation(title, planning=planning, total=total) as operation, let_it_finish(self._screen):
            try:
                self._unlocking(lambda: run(operation))
            except CommandError as error:
                reasons = operation.seen.errors or [_last_lines(str(error))]
                raise UpdateFailed(
                    verb=verb, stack=self.program.stack, reasons=reasons, hint=hint, seen=operation.seen
                ) from error
        return operation.seen

    def _unlocking(self, run: Callable[[], Any]) -> Any:
        """Run; where a lock is left of an update that no longer runs, take it away and run again. Raises StackBusy."""
        try:
            return run()
        except ConcurrentUpdateError as error:
            holders = recovery.holders(str(error))
            if not holders or not all(h.is_gone() for h in holders):
                raise StackBusy(
                    stack=self.program.stack, stage=self.program.stage, holders=[str(h) for h in holders]
                ) from error
            self._screen.say(
                f"{self.program.stack}: an update of this machine ended without giving its lock back.", "yellow"
            )
            self._stack.cancel()
            return run()


@contextmanager
def let_it_finish(screen: Screen) -> Iterator[None]:
    """Ctrl-C reaches pulumi too, which finishes what it is doing and saves; leaving before that would lose its end.

    Then it is obeyed: KeyboardInterrupt, so that nothing else is begun.
    """
    stop = False

    def wait(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True
        screen.say(
            "Stopping: what is under way is finished first, and saved. The next `up` goes on from there.", "yellow"
        )

    try:
        before = signal.signal(signal.SIGINT, wait)
    except ValueError:  # not the main thread: whoever runs us there decides
        yield
        return
    try:
        yield
    except InfraError as error:
        if not stop:
            raise
        screen.say(str(error), "red")
        raise KeyboardInterrupt(STOPPED) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if stop:
        raise KeyboardInterrupt(STOPPED)


def _last_lines(text: str, count: int = 12) -> str:
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
