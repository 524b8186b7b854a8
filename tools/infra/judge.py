"""Hold generated stacks against the real AWS provider, an emulator and Pulumi's own engine; say how many of each.

The judges (`aws_oracle.py`, `pulumi_rig/rig.py`) live outside this repository, in AWS_RIG_TOOLS or ../shared/tools. Where they,
or what they need, are missing, that is said and nothing fails: the product depends on neither.

    .ci/infra              few cases that cover every pair of choices; one life of each kind
    .ci/infra --all        every case; a life of every architecture and stage; every change, and an upgrade
    .ci/infra --only WORD  of these, those whose line contains WORD
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "stories")]

from changes import CHANGES  # noqa: E402 - found only once its folder is known
from matrix import ROLLOUTS, STAGES, Case, covering, every  # noqa: E402

TOOLS = Path(os.environ.get("AWS_RIG_TOOLS") or ROOT.parent / "shared" / "tools")
ORACLE, RIG = TOOLS / "aws_oracle.py", TOOLS / "pulumi_rig" / "rig.py"
LAST_RELEASE = ROOT / ".ci" / "last-release"  # the commit whose programs today's must be able to take over
DROPPED = re.compile(r"use of closed network connection|connection reset by peer|unexpected EOF")
TELLING = re.compile(r"FELL SHORT|FAIL|Error|error:|xception|failed to|^- ")  # lines that say why something fell short
UNABLE = 3  # either judge's exit code where something that it needs is missing
REHEARSED = (
    "training",
)  # the quick lives do without: the rehearsal brings it up, and its queues take the provider a minute
REHEARSALS = (("realtime", "dev"), ("batch", "dev"), ("streaming", "dev"), ("realtime", "staging"))  # the first always
# The serving modes of each architecture; one that is not named here comes in those of `realtime`. A stream's records are
# answered one by one, so its endpoint is not asynchronous.
MODES = {"realtime": ("realtime", "serverless", "async"), "batch": ("jobs",), "streaming": ("realtime", "serverless")}


@dataclass(slots=True)
class Verdicts:
    """What the judges said: how many cases, resources and problems; what fell short, and why; what was asked again."""

    judged: int = 0
    unable: int = 0
    resources: int = 0
    made: int = 0
    failed: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def add(self, line: str, code: int, said: str, seconds: float) -> None:
        """Note one answer and show it; all that was said where it fell short."""
        self.judged += code != UNABLE
        self.unable += code == UNABLE
        counted = re.search(r"(\d+) resources in .*", said)
        created = re.search(r"created(?: in the emulator)?: (\d+)", said)
        self.resources += int(counted[1]) if counted else 0
        self.made += int(created[1]) if created else 0
        verdict = {0: "ok", UNABLE: "unable"}.get(code, "FAIL")
        told = counted[0] if counted else (said.strip().splitlines() or [""])[-1]
        print(f"{verdict:6} {line:70} {seconds:6.1f} s  {told}", flush=True)
        if verdict == "FAIL":
            self.failed.append(f"{line}\n{reasons(said)}")
            # The reasons first: who shows only the beginning shows those.
            print(f"{reasons(said)}\nAll that was said:\n{said}", flush=True)


def reasons(said: str) -> str:
    """The lines that say why something fell short."""
    return "\n".join(f"       {line.strip()[:300]}" for line in said.splitlines() if TELLING.search(line))


def architectures() -> dict[str, tuple[str, ...]]:
    """Every architecture blueprint, with the serving modes that it comes in."""
    names = sorted(p.parent.name for p in (ROOT / "blueprints" / "architectures").glob("*/blueprint.yaml"))
    return {name: MODES.get(name, MODES["realtime"]) for name in names}


class Repositories:
    """Generated repositories, one for each architecture and mode, made when they are first asked for."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def of(self, architecture: str, mode: str) -> Path:
        """The repository as it is generated; not to be written to."""
        import make_repository  # it brings pandas and scikit-learn along

        out = self.work / f"{architecture}-{mode}"
        if not out.exists():
            deployment: dict[str, object] = {"serving": {"mode": mode}} if mode != "jobs" else {}
            make_repository.make_repository(out, architecture=architecture, deployment=deployment)
            compileall.compile_dir(out / "components", quiet=1)  # once, not in each of a hundred processes
        return out

    def configured(self, case: Case, name: str) -> Path:
        """A copy whose stacks are set as the case says."""
        source, out = self.of(case.architecture, case.mode), self.work / "cases" / name
        shutil.copytree(source, out)
        configure_all(out, case)
        return out


def configure_all(repository: Path, case: Case) -> None:
    """Set every stack of a repository as the case says."""
    for stack, values in case.settings().items():
        configure(repository / "infra" / stack / f"Pulumi.{case.stage}.yaml", values)


def configure(file: Path, values: dict[str, str]) -> None:
    """Set configuration keys, those only that the file has or that its program has a default for."""
    if not file.exists():
        return
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    project = yaml.safe_load((file.parent / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    program = (file.parent / "__main__.py").read_text(encoding="utf-8")
    for key, value in values.items():
        if re.search(rf"^    {key}: ", program, flags=re.MULTILINE):
            document["config"][f"{project}:{key}"] = value
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def ask(repository: Path, *command: object) -> tuple[int, str, float]:
    """Run a judge on a repository's own components: exit code, what it said, seconds."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(repository / "components")}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        check=False,
    )
    return done.returncode, done.stdout, time.monotonic() - started


def ask_again(verdicts: Verdicts, line: str, repository: Path, *command: object) -> tuple[int, str, float]:
    """As `ask`, for what the emulator takes part in: once more where it fell short, twice where a connection was dropped.

    Under load the emulator drops connections, and a call that is then repeated finds that its first try was heard. What falls
    short of itself does so again; what did not is counted and its reasons are shown.
    """
    for left in (2, 1, 0):
        code, said, seconds = ask(repository, *command)
        if code in (0, UNABLE) or left == 0 or (left == 1 and not DROPPED.search(said)):
            break
        verdicts.again.append(line)
        print(f"again  {line}; it fell short of:\n{reasons(said)}", flush=True)
    return code, said, seconds


def hold_against_the_provider(cases: Sequence[Case], repositories: Repositories, verdicts: Verdicts) -> None:
    """Every case: all its programs as one graph, judged by the AWS provider itself."""
    for case in cases:
        repositories.of(case.architecture, case.mode)

    def judged(numbered: tuple[int, Case]) -> tuple[Case, tuple[int, str, float]]:
        number, case = numbered
        repository = repositories.configured(case, f"case-{number}")
        return case, ask(repository, ORACLE, repository / "infra", "--stack", case.stage)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for case, answer in pool.map(judged, enumerate(cases)):
            verdicts.add(f"provider  {case}", *answer)


def create_in_the_emulator(case: Case, repositories: Repositories, verdicts: Verdicts) -> None:
    """One case, created for real in an emulator."""
    repository = repositories.configured(case, f"apply-{case.architecture}-{case.stage}")
    command = (ORACLE, repository / "infra", "--stack", case.stage, "--apply")
    verdicts.add(f"emulator  {case}", *ask_again(verdicts, f"emulator  {case}", repository, *command))


def live(
    case: Case,
    repositories: Repositories,
    verdicts: Verdicts,
    *changes: str,
    without: Sequence[str] = (),
    before: Path | None = None,
) -> None:
    """A whole life with Pulumi's engine and the policy pack: preview, up, no change, no drift; changes; destroyed.

    `without`: stacks that nothing else of it reads. `before`: a repository of the last release; it is brought up, and the change `upgrade` replaces it by today's.
    """
    repository = repositories.configured(case, f"life-{case.architecture}-{case.mode}-{case.stage}-{len(changes)}")
    for stack in without:
        shutil.rmtree(repository / "infra" / stack)
    policy = repository / "infra" / "policy"
    command: list[object] = [RIG, "life", (before or repository) / "infra", "--stack", case.stage]
    if policy.exists() and before is None:
        command += ["--policy", policy]
    if changes:
        then = [sys.executable, HERE / "changes.py", "--stage", case.stage, "--repository", repository, *changes]
        command += ["--then", shlex.join(map(str, then))]
    line = f"life      {case}{''.join(f' + {c}' for c in changes)}"
    code, said, seconds = ask_again(verdicts, line, before or repository, *command)
    verdicts.add(line, code, said, seconds)
    for told in said.splitlines():
        if told.startswith("change "):
            print(f"         {told}", flush=True)


def rehearse(architecture: str, stage: str, repositories: Repositories, verdicts: Verdicts) -> None:
    """`make infra-rehearse` as a user types it, in a generated repository, with the rig's engine on PATH."""
    repository = repositories.work / f"rehearsal-{architecture}-{stage}"
    shutil.copytree(repositories.of(architecture, architectures()[architecture][0]), repository)
    (repository / ".venv").mkdir(exist_ok=True)
    (repository / ".venv" / ".ready").touch()  # this interpreter is the environment
    make = ["make", "-C", repository, "infra-rehearse", f"STAGE={stage}", f"PY={sys.executable}"]
    line = f"rehearsal {architecture} {stage}"
    code, said, seconds = ask_again(verdicts, line, repository, RIG, "exec", "--", *make)
    if code == 0 and not (repository / "artifacts" / f"rehearsal-{stage}" / "index.html").exists():
        code, said = 1, f"{said}\nno page was written"
    verdicts.add(line, code, said, seconds)


def live_through_an_upgrade(repositories: Repositories, verdicts: Verdicts) -> None:
    """The last release's programs are brought up, then today's take their place: nothing that holds data is touched."""
    commit = LAST_RELEASE.read_text(encoding="utf-8").split()[0]
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=False)
    if packed.returncode:
        verdicts.unable += 1
        print(f"infra: no upgrade, this clone does not have the last release, {commit}")
        return
    old = repositories.work / "last-release"
    old.mkdir()
    subprocess.run(["tar", "-x", "-C", str(old)], input=packed.stdout, check=True)
    case = Case("realtime", "staging", "realtime", "all-at-once", "create")
    repository = repositories.work / "of-last-release"
    path = os.pathsep.join(str(old / part) for part in ("generator", "components"))
    command = [sys.executable, str(old / "tests" / "stories" / "make_repository.py"), "--architecture", "realtime"]
    subprocess.run([*command, "--out", str(repository)], env={**os.environ, "PYTHONPATH": path}, check=True)
    configure_all(repository, case)
    live(case, repositories, verdicts, "upgrade", before=repository)


def main() -> int:
    """Judge; exit code 1 where anything fell short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="everything, not the subset that fits a quarter of an hour")
    parser.add_argument("--only", default="", metavar="WORD", help="only what has this word in its line")
    asked = parser.parse_args()
    if not ORACLE.exists():
        print(f"infra: not judged, no {ORACLE.name} in {TOOLS}")
        return 0
    verdicts, started = Verdicts(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="infra-") as folder:
        judge(asked.all, asked.only, Repositories(Path(folder)), verdicts)
    print(
        f"infra: {verdicts.judged} judged, {verdicts.resources} resources held against the provider, {verdicts.made} made; "
        f"{len(verdicts.failed)} fell short, {len(verdicts.again)} asked again, {verdicts.unable} could not be judged; {time.monotonic() - started:.0f} s"
    )
    for line in verdicts.failed:
        print(f"- {line}")
    if not verdicts.judged + verdicts.unable:
        print(f"infra: no line has {asked.only!r}")
        return 2
    return 1 if verdicts.failed else 0


def judge(everything: bool, word: str, repositories: Repositories, verdicts: Verdicts) -> None:
    """The provider's matrix, the emulator, then the lives."""
    cases = every(architectures())
    chosen = cases if everything else covering(cases)
    hold_against_the_provider([c for c in chosen if word in f"provider  {c}"], repositories, verdicts)
    modes = architectures()
    lived = lives(everything)
    for architecture in modes:
        case = Case(architecture, "dev", modes[architecture][0], ROLLOUTS[modes[architecture][0]][0], "create")
        created_anyway = not everything and architecture in {c.architecture for c, _ in lived}  # in a life
        if word in f"emulator  {case}" and not created_anyway:
            create_in_the_emulator(case, repositories, verdicts)
    for case, changes in lived:
        if word in f"life      {case} {' '.join(changes)}":
            live(case, repositories, verdicts, *changes, without=() if everything else REHEARSED)
    for architecture, stage in REHEARSALS[: None if everything else 1]:
        if word in f"rehearsal {architecture} {stage}":
            rehearse(architecture, stage, repositories, verdicts)
    if everything and word in "life      upgrade":
        live_through_an_upgrade(repositories, verdicts)


def lives(everything: bool) -> list[tuple[Case, tuple[str, ...]]]:
    """Which lives are led: every architecture in every stage, or one of each kind; the changes in the middle of the first."""
    modes = architectures()
    first = (Case("realtime", "staging", "realtime", "canary", "create"), tuple(CHANGES))
    if not everything:
        return [first, (Case("batch", "dev", "jobs", "-", "skip"), ())]
    others = [
        (Case(architecture, stage, mode, ROLLOUTS[mode][0], "create"), ())
        for architecture in modes
        for mode in modes[architecture]
        for stage in STAGES
    ]
    return [first, *others]


if __name__ == "__main__":
    sys.exit(main())
