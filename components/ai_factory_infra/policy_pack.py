"""The rules as Pulumi's engine takes them: one policy for each rule, and the stack's own stage deciding how strict.

Only this module knows pulumi-policy, and `infra/policy/__main__.py` is its only caller beside the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from ai_factory_infra.rules import RULES, UNKNOWN, Governed, Rule, is_mandatory


def serve(name: str) -> None:
    """Hand the rules to the engine, and stay until it is done. A violation stops the update in every stage but dev.

    The engine names the stage only with each resource, once how strict a policy is has been said. So every rule is there
    twice: one that binds, silent in dev, and one that advises, silent everywhere else.
    """
    PolicyPack(name, policies=[*policies(), *policies(advice=True)], enforcement_level=EnforcementLevel.MANDATORY)


def policies(stage: str = "", *, advice: bool = False) -> list[Policy]:
    """One policy for each rule. `stage`: what the rules are told; empty: what each resource's URN says.

    With `advice` they speak in dev only and stop nothing; without, and without a stage, everywhere else.
    """
    return [_alone(rule, stage, advice) if rule.alone else _whole(rule, stage, advice) for rule in RULES]


def _alone(rule: Rule, stage: str, advice: bool) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        found = governed(args, stage or stage_of(args.urn))
        if stage or is_mandatory(found.stage) is not advice:
            for _, says in rule.find([found]):
                report(says)

    return ResourceValidationPolicy(
        name=_name(rule, advice), description=rule.why, validate=validate, enforcement_level=_level(advice)
    )


def _whole(rule: Rule, stage: str, advice: bool) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        found = [governed(r, stage or stage_of(r.urn)) for r in args.resources]
        for resource, says in rule.find([r for r in found if stage or is_mandatory(r.stage) is not advice]):
            report(says, resource.urn)

    return StackValidationPolicy(
        name=_name(rule, advice), description=rule.why, validate=validate, enforcement_level=_level(advice)
    )


def _name(rule: Rule, advice: bool) -> str:
    return f"{rule.name}-advice" if advice else rule.name


def _level(advice: bool) -> EnforcementLevel:
    return EnforcementLevel.ADVISORY if advice else EnforcementLevel.MANDATORY


def stage_of(urn: str) -> str:
    """The stack's name in `urn:pulumi:<stack>::…`."""
    return urn.split("::")[0].rsplit(":", 1)[-1]


def governed(args: ResourceValidationArgs | PolicyResource, stage: str) -> Governed:
    """What the engine hands over, as the rules take it."""
    inputs = known(args.props)
    tags = dict(inputs.get("tags") or {}) if isinstance(inputs.get("tags"), Mapping) else {}
    if args.provider is not None:
        tags |= default_tags(known(args.provider.props))
    return Governed(
        stage=stage,
        type=args.resource_type,
        name=args.name,
        urn=args.urn,
        inputs=inputs,
        protect=bool(args.opts and args.opts.protect),
        tags=tags,
        dependencies=_dependencies(args),
    )


def default_tags(provider: Mapping[str, Any]) -> dict[str, Any]:
    """The tags that a provider puts on everything; they travel as JSON."""
    given = provider.get("defaultTags") or {}
    settings = json.loads(given) if isinstance(given, str) else given
    tags = settings.get("tags") if isinstance(settings, Mapping) else None
    return dict(tags) if isinstance(tags, Mapping) else {}


def _dependencies(args: ResourceValidationArgs | PolicyResource) -> frozenset[str]:
    if not isinstance(args, PolicyResource):
        return frozenset()
    by_property = (r for found in args.property_dependencies.values() for r in found)
    return frozenset(r.urn for r in (*args.dependencies, *by_property))


def known(value: Any) -> Any:
    """A copy as plain values. Touching what is not known yet raises in pulumi-policy; here it is `UNKNOWN`."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_item(value, i) for i in range(len(value))]
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return known(container[key])
    except UnknownValueError:
        return UNKNOWN
