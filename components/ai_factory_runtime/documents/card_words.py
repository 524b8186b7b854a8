"""What the model card and the data sheet say in words: facts of the run turned into phrases, as tables where they are tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ai_factory_spec.usecase import Threshold, UseCase

from ai_factory_runtime.releases.lineage import Lineage

SPLIT_WORDS: Mapping[str, str] = {
    "time": "time: the newest rows are held out",
    "entity": "entity: all rows of an id on one side",
    "random": "chance",
}
PII_WORDS: Mapping[str, str] = {
    "drop": "removed",
    "hash": "replaced by a keyed hash",
    "tokenise": "replaced by a token that the key's holder can read",
}
DISPARITY_WORDS: Mapping[str, str] = {
    "selection-rate": "largest minus smallest rate of positive predictions (demographic parity difference)",
    "selection-rate-ratio": "smallest over largest rate of positive predictions (demographic parity ratio)",
    "equalized-odds": "largest difference in true or false positive rate (equalized odds difference)",
}


def bound_words(bounds: Threshold | None) -> str:
    """What was agreed on a number, e.g. `≥ 0.8`; empty where nothing was."""
    if bounds is None:
        return ""
    parts = [f"≥ {bounds.min:g}"] if bounds.min is not None else []
    parts += [f"≤ {bounds.max:g}"] if bounds.max is not None else []
    return " and ".join(parts) + (" (whole interval)" if bounds.confident else "")


def calibration_words(usecase: UseCase) -> tuple[str, str]:
    """What the model says, and what it is compared with."""
    if usecase.model.task == "regression":
        return "predicted value", "actual value"
    if usecase.model.task == "binary":
        return f"predicted probability of {usecase.model.positive}", f"share that is {usecase.model.positive}"
    return "probability of the predicted class", "share that is right"


def approvals_words(usecase: UseCase, signers: Sequence[str]) -> str:
    """Who must sign, and where it is kept that they did."""
    stages = ", ".join(usecase.deployment.stages[1:])
    who = f"a model of risk tier {usecase.risk.tier} leaves {usecase.deployment.stages[0]}"
    who += f" (for {stages})" if stages else ""
    must = (
        f"Before {who}, these roles must sign: {', '.join(signers)}. "
        if signers
        else f"Before {who}, the roles that governance/approvals.yaml names must sign. "
    )
    return must + (
        "A card never changes after its run. Who has signed this model is kept in governance/releases, in the file that names "
        "this model's digest."
    )


def lineage_rows(lineage: Lineage) -> list[tuple[str, str]]:
    """What made the model, as names and values."""
    state = lineage.git_commit or "not in git"
    if lineage.git_dirty:
        state += f", with {len(lineage.git_changed) or 'some'} files changed or never committed"
    libraries = ", ".join(f"{name} {version}" for name, version in lineage.libraries.items())
    blueprints = ", ".join(f"{name} {version}" for name, version in lineage.blueprints.items())
    rows = [
        ("Data source, sha256", lineage.source_sha256 or "–"),
        ("Rows, sha256", lineage.rows_sha256),
        ("usecase.yaml, sha256", lineage.usecase_sha256),
        ("Code, sha256", lineage.code_sha256),
        ("Git commit", state),
        ("constraints.txt, sha256", lineage.constraints_sha256 or "–"),
        ("Environment, sha256", lineage.environment_sha256 or "–"),
        ("Seed", str(lineage.seed)),
        ("Python and libraries", f"Python {lineage.python}, {libraries}"),
        ("Machine", lineage.machine or "–"),
        ("Blueprints", blueprints or "–"),
    ]
    return [*rows, ("AI Factory", lineage.factory)] if lineage.factory else rows
