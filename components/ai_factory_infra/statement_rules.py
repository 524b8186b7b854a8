"""What a policy document may not say: wildcards where AWS takes a name, a role handed to anybody, AWS's own wide policies.

Plain values, no Pulumi. AWS: "Grant least privilege", "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ai_factory_infra.policies import WITHOUT_RESOURCE

WIDE_POLICIES = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")


def is_wide_policy(arn: str) -> bool:
    """Whether a managed policy allows a whole service or account: `…FullAccess`, `AdministratorAccess`."""
    name = arn.rsplit("/", 1)[-1]
    return name.endswith("FullAccess") or name in WIDE_POLICIES


def statements(text: object) -> list[Mapping[str, Any]]:
    """The statements of a policy document given as JSON; none where the text is no policy document."""
    if not isinstance(text, str) or '"Statement"' not in text:
        return []
    try:
        found = json.loads(text).get("Statement", [])
    except (ValueError, AttributeError):
        return []
    return found if isinstance(found, list) else [found]


def listed(value: Any) -> list[Any]:
    """IAM takes one value or a list of them; always a list here."""
    return value if isinstance(value, list) else [] if value is None else [value]


def too_wide(statement: Mapping[str, Any], *, of_resource: bool) -> Iterator[str]:
    """Each way in which an Allow statement grants more than it names; nothing for a Deny.

    `of_resource`: the document hangs on one resource (a key, a bucket, a queue), which is then what `*` means; such a
    document may not speak to everybody without a condition instead.
    """
    if statement.get("Effect") != "Allow":
        return
    actions = [str(a) for a in listed(statement.get("Action"))]
    if "NotAction" in statement or "NotResource" in statement:
        yield "allows everything but what it names (NotAction, NotResource)"
    if of_resource:
        if _everybody(statement.get("Principal")) and not statement.get("Condition"):
            yield "allows everybody, under no condition"
        if "*" in actions:
            yield "allows every action"
        return
    for action in actions:
        if "*" in action:
            yield f"allows {action}; name each action"
    loose = sorted(a for a in actions if a not in WITHOUT_RESOURCE and "*" not in a)
    if "*" in listed(statement.get("Resource")) and loose:
        yield f"allows {', '.join(loose)} on every resource, though AWS can bind it to some"
    conditions = statement.get("Condition", {})
    if "iam:PassRole" in actions and not any("iam:PassedToService" in keys for keys in conditions.values()):
        yield "hands a role to any service; iam:PassRole needs the condition iam:PassedToService"


def _everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, Mapping) and "*" in listed(principal.get("AWS")))
