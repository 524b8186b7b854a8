"""Grant: one line of what continuous integration may do to a stack: the kinds of resource that need it, the actions, the names.

Plain values, no Pulumi. AWS: "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TAGGED = ("TagResource", "UntagResource", "ListTagsForResource")


@dataclass(frozen=True, slots=True)
class Grant:
    """`types`: the resources that need it; `invokes`: the look-ups. `resources`: ARNs without partition, region and account, or
    `*` where AWS has none.

    `{p}` in them stands for what every name of the project's stage begins with, `{p_}` for the same with underscores, as
    Glue's names are; `{data}` for the data bucket. `conditions`: as a policy has them, `{p}` likewise.
    """

    sid: str
    why: str
    types: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    invokes: tuple[str, ...] = ()
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def actions(service: str, *names: str) -> tuple[str, ...]:
    """Actions of one service as a policy names them: `actions("s3", "GetObject")` is `("s3:GetObject",)`."""
    return tuple(f"{service}:{name}" for name in names)


def each(
    service: str, kinds: Iterable[str], verbs: Sequence[str] = ("Create", "Delete", "Describe")
) -> tuple[str, ...]:
    """Every verb on every kind: `each("glue", ("Job",), ("Get",))` is `("glue:GetJob",)`."""
    return tuple(f"{service}:{verb}{kind}" for kind in kinds for verb in verbs)


SAGEMAKER_TAGS = actions("sagemaker", "AddTags", "DeleteTags", "ListTags")
# Where SageMaker keeps the tables of feature groups: named by the group, its hyphens kept or made underscores.
FEATURE_TABLES = ("glue:table/sagemaker_featurestore/{p}-*", "glue:table/sagemaker_featurestore/{p_}_*")
