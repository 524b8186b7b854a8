"""The rules as Pulumi's engine takes them: one policy for each rule, and the stack's own stage deciding how strict.

Only this module knows pulumi-policy, and `infra/policy/__main__.py` is its only caller beside the tests.
"""

from __future__ import annotations

import json
import os
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
    """Hand the rules to the engine, and stay until it is done. A violation stops the update in every stage but dev."""
    stage = os.environ.get("PULUMI_STACK", "")
    level = EnforcementLevel.MANDATORY if is_mandatory(stage) else EnforcementLevel.ADVISORY
    PolicyPack(name, policies=policies(stage), enforcement_level=level)


def policies(stage: str) -> list[Policy]:
    """One policy for each rule; `stage` is what the rules are told."""
    return [_alone(rule, stage) if rule.alone else _whole(rule, stage) for rule in RULES]


def _alone(rule: Rule, stage: str) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for _, says in rule.find([governed(args, stage)]):
            report(says)

    return ResourceValidationPolicy(name=rule.name, description=rule.why, validate=validate)


def _whole(rule: Rule, stage: str) -> Policy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, says in rule.find([governed(r, stage) for r in args.resources]):
            report(says, resource.urn)

    return StackValidationPolicy(name=rule.name, description=rule.why, validate=validate)


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
