"""What the fields of `deployment` and `monitoring` must agree on."""

from __future__ import annotations

from collections.abc import Iterator

from ai_factory_spec.findings import Finding, has_password
from ai_factory_spec.naming import STAGES, slug, stage_inside
from ai_factory_spec.view import View


def name_agrees(usecase: View) -> Iterator[Finding]:
    """No stage of another project is called as this one begins."""
    name = usecase.text("name")
    if name is None or not (stage := stage_inside(slug(name))):
        return
    words = slug(name).split("-")
    other = "-".join(words[: words.index(stage, 1)])
    yield Finding(
        usecase.at("name"),
        f"{name!r} has the stage {stage} in it: in the cloud it could not be told from {stage} of a use case {other!r}",
        f"leave {stage} out; each stage is added to the name by itself",
    )


def deployment_agrees(deployment: View) -> Iterator[Finding]:
    """Stages are in order, and AWS can move traffic that way on such an endpoint."""
    yield from _rollout_fits(deployment)
    stages = [stage for _, stage in deployment.texts("stages")]
    if deployment.complete("stages") and stages and stages != [s for s in STAGES if s in {"dev", *stages}]:
        got = ", ".join(stages)
        yield Finding(deployment.at("stages"), f"stages are dev, then staging, then prod, each at most once; got {got}")


def _rollout_fits(deployment: View) -> Iterator[Finding]:
    """AWS's deployment guardrails know no serverless endpoint, and shadows and second variants only real-time ones."""
    mode, rollout = deployment.section("serving").text("mode"), deployment.section("rollout")
    strategy = rollout.text("strategy")
    if mode is None or strategy is None:
        return
    fitting = _STRATEGIES.get(mode)
    if fitting is not None and strategy not in fitting:
        yield Finding(
            rollout.at("strategy"), f"{strategy} does not fit an endpoint of mode {mode}", f"allowed: {', '.join(fitting)}"
        )  # fmt: skip


def architecture_agrees(usecase: View) -> Iterator[Finding]:
    """The consumer of a stream waits for each answer, and an asynchronous endpoint gives none to whoever asked."""
    serving = usecase.section("deployment").section("serving")
    if usecase.text("architecture") == "streaming" and serving.text("mode") == "async":
        yield Finding(
            serving.at("mode"), "the architecture streaming asks its endpoint for each answer", "allowed: realtime, serverless"
        )  # fmt: skip


_STRATEGIES = {"serverless": ("all-at-once",), "async": ("all-at-once", "canary", "linear")}

_NEEDS = {"file": ("path",), "webhook": ("address_variable",), "email": ("to", "sender", "host")}


def channel_agrees(channel: View) -> Iterator[Finding]:
    """A channel has the fields of its kind, and none of another."""
    kind = channel.text("kind")
    if kind not in _NEEDS:
        return
    for owner, fields in _NEEDS.items():
        for field in fields:
            empty = channel.known(field) and channel.get(field) in (None, "", (), [])
            if owner == kind and empty:
                yield Finding(channel.at(field), f"a channel of kind {kind} needs `{field}`")
            if owner != kind and not empty and channel.known(field):
                yield Finding(channel.at(field), f"fits only kind {owner}, not {kind}")


def tracking_agrees(tracking: View) -> Iterator[Finding]:
    """No password stands in the file."""
    address = tracking.text("address") or ""
    if has_password(address):
        yield Finding(
            tracking.at("address"), "a password stands in the address; this file is kept in git",
            "put the address in AI_FACTORY_REGISTRY",
        )  # fmt: skip
