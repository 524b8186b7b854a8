"""The policy pack without Pulumi's program: run every stack under mocks, and hold what it registers against the rules.

python -m ai_factory_infra.policy_check infra        every stage; exit 4 where a mandatory rule is broken, 2 for no program
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, EXIT_OK, FactoryError

from ai_factory_infra.errors import tell
from ai_factory_infra.rules import RULES, Governed, Violation, is_mandatory, judge
from ai_factory_infra.testing import Registered, Registration, run_stage_once, stages


def violations(stacks: Mapping[str, Registered], stage: str) -> list[Violation]:
    """What the stacks of one stage do against the rules, stack after stack."""
    return [v for stack in stacks.values() for v in judge(governed(stack, stage))]


def governed(stack: Registered, stage: str) -> list[Governed]:
    """What one program registered, as the rules take it."""
    tags = {r.urn: _default_tags(r.inputs) for r in stack.of("pulumi:providers:aws")}
    return [_governed(r, stage, tags) for r in stack.resources]


def _governed(r: Registration, stage: str, tags: Mapping[str, Mapping[str, Any]]) -> Governed:
    own = r.inputs.get("tags") or {}
    return Governed(
        stage=stage,
        type=r.type,
        name=r.name,
        urn=r.urn,
        inputs=r.inputs,
        protect=r.protect,
        tags={**own, **tags.get(r.provider.rsplit("::", 1)[0], {})},
        dependencies=r.dependencies,
    )


def _default_tags(provider: Mapping[str, Any]) -> Mapping[str, Any]:
    given = provider.get("defaultTags") or "{}"
    tags: Mapping[str, Any] = json.loads(given).get("tags", {})
    return tags


def report(infra: Path) -> tuple[str, bool]:
    """What every stage does against the rules, as text, and whether something mandatory is broken. Raises StackNotFound."""
    lines, broken = [], False
    for stage in stages(infra):
        found, strict = violations(run_stage_once(infra, stage), stage), is_mandatory(stage)
        broken |= bool(found) and strict
        kind = "mandatory" if strict else "advisory"
        lines.append(f"{stage}: {len(RULES)} rules, {kind}; {len(found)} violation{'' if len(found) == 1 else 's'}")
        lines += [f"  {v.rule}: {v.urn.rsplit('::', 1)[-1]} {v.says}" for v in found]
    return "\n".join(lines), broken


def main(arguments: list[str]) -> int:
    """Print the report of a folder of programs."""
    try:
        text, broken = report(Path(arguments[0] if arguments else "infra").resolve())
    except FactoryError as error:
        return tell(error)
    sys.stdout.write(text + "\n")
    return EXIT_CHECKS_FAILED if broken else EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
