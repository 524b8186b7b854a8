"""Typical: what is usual for each feature in the training data: a number's median, a category's most frequent value."""

from __future__ import annotations

from ai_factory_spec.usecase import Column

from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.model_package.sketch import ColumnSketch, NumericSketch, Sketch
from ai_factory_runtime.releases.fleet import Fleet


def typical_record(package: ModelPackage) -> dict[str, object]:
    """One value for each feature, None where training had none. No row that ever was. For a fleet that of its first member."""
    if isinstance(package, Fleet):
        first = package.members[0]
        usual = {package.column: first.value, **typical_record(first.package)}
        return {c.name: usual.get(c.name) for c in package.signature.features}
    sketches = {c.name: c for c in Sketch.from_json(package.sketch_json).columns}
    return {c.name: _typical(c, sketches.get(c.name)) for c in package.signature.features}


def _typical(column: Column, sketch: ColumnSketch | None) -> object:
    if isinstance(sketch, NumericSketch) and sketch.points:
        median = next(p for p, n in zip(sketch.points, sketch.at_most, strict=True) if 2 * n >= sketch.present)
        return int(median) if column.type == "integer" else median
    if sketch is None or isinstance(sketch, NumericSketch) or not sketch.counts:
        return None
    value = sketch.counts[0][0]
    return value == "True" if column.type == "boolean" else value
