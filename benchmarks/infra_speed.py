"""How long stacks take to be registered, and how much memory that needs: no cloud, no engine, only what our code costs.

    infra_speed.py [--architecture realtime] [--stage prod] [--repeat 5]

Three figures, each the best of several runs, because what else the machine does only ever adds. Seconds are by the clock, and
of the processor in parentheses: the two differ where the machine has other work, and the bounds hold for the second.
- 200 resources of our components under mocks, imports done (bound: 1 s);
- a stage's programs one after the other in one fresh process, start and imports included (bound: 8 s);
- that process's peak memory (bound: 200 MiB). Each program alone, as Pulumi runs them, is shown beside it.
Exit code 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

EXPORTS = "exports.json"  # what each stack exports, for those that run alone
MANY, MANY_SECONDS, STAGE_SECONDS, STAGE_MIB = 200, 1.0, 8.0, 200.0


def many_resources() -> tuple[int, float, float]:
    """How many resources were registered, and in how many seconds of the clock and of the processor."""
    import pulumi
    import pulumi_aws as aws
    from ai_factory_infra.secure_bucket import SecureBucket
    from ai_factory_infra.testing import run_resources

    def build() -> None:
        options = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        for i in range(MANY // 8 + 1):  # a bucket is itself a component of eight resources
            SecureBucket(f"bucket-{i}", {"kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/k"}, options)

    started, busy = time.perf_counter(), time.process_time()
    made = len(run_resources(build).resources)
    return made, time.perf_counter() - started, time.process_time() - busy


def in_a_process_of_its_own(infra: Path, stage: str, stack: str = "") -> tuple[float, float, float, int]:
    """Seconds of clock and processor, peak MiB and resources of one program, or of all, from the interpreter's start."""
    started, busy = time.perf_counter(), processor_of_children()
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(infra), stage, stack],
        text=True,
        capture_output=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    peak, made = done.stdout.split()
    return seconds, processor_of_children() - busy, float(peak), int(made)


def processor_of_children() -> float:
    """Seconds that the processes started so far have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(infra: Path, stage: str, stack: str) -> None:
    """In the fresh process: register, then print the peak memory in MiB and how many resources there were."""
    from ai_factory_infra.testing import run_program, run_stage

    if stack:
        exports = json.loads((infra / EXPORTS).read_text(encoding="utf-8"))
        made = len(run_program(infra / stack, stage, exports=exports).resources)
    else:
        made = sum(len(found.resources) for found in run_stage(infra, stage).values())
    print(peak_mib(), made)


def peak_mib() -> float:
    """This process's largest resident size. Linux counts the parent's into `ru_maxrss`, so its own figure is read."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text(encoding="utf-8").splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def best(run: Callable[[], tuple[float, ...]], repeat: int) -> tuple[float, ...]:
    """The smallest of each figure over several runs."""
    return tuple(min(column) for column in zip(*(run() for _ in range(repeat)), strict=True))


def main() -> int:
    """Measure and hold to the bounds."""
    from ai_factory_infra.testing import run_stage
    from helpers_infra import rendered

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="realtime")
    parser.add_argument("--stage", default="prod")
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    infra = rendered(architecture=asked.architecture) / "infra"
    exports = {found.project: found.outputs for found in run_stage(infra, asked.stage).values()}
    (infra / EXPORTS).write_text(json.dumps(exports), encoding="utf-8")
    many_resources()  # imports
    made, clock, busy = best(many_resources, asked.repeat)
    clock, busy = clock / made * MANY, busy / made * MANY
    print(f"{MANY} resources under mocks: {clock:.2f} s ({busy:.2f} s; bound {MANY_SECONDS:g} s)")
    broken = busy > MANY_SECONDS
    clock, busy, peak, made = best(lambda: in_a_process_of_its_own(infra, asked.stage), asked.repeat)
    print(
        f"all programs of {asked.architecture}, {asked.stage}, {made:.0f} resources: {clock:.2f} s ({busy:.2f} s; bound "
        f"{STAGE_SECONDS:g} s), peak {peak:.0f} MiB (bound {STAGE_MIB:g} MiB)"
    )
    broken = broken or busy > STAGE_SECONDS or peak > STAGE_MIB
    for stack in sorted(p.parent.name for p in infra.glob("*/Pulumi.yaml")):
        clock, busy, peak, made = best(partial(in_a_process_of_its_own, infra, asked.stage, stack), asked.repeat)
        print(f"  {stack:12} alone, {made:3.0f} resources: {clock:.2f} s ({busy:.2f} s), peak {peak:.0f} MiB")
    return int(broken)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        sys.exit(main())
