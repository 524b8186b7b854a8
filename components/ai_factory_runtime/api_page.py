"""The page at /docs: what the endpoint takes and gives, an example made from the training data's sketch, a place to try it."""

from __future__ import annotations

import json

from ai_factory_spec.usecase import Column

from ai_factory_runtime.package import ModelPackage, Signature
from ai_factory_runtime.pages import template
from ai_factory_runtime.screening import allowed
from ai_factory_runtime.sketch import ColumnSketch, NumericSketch, Sketch
from ai_factory_runtime.stages import Deployed


def render_page(title: str, model: Deployed, signature: Signature, example: dict[str, object], nonce: str) -> str:
    """The page as HTML; `nonce` is the one that the page's security policy allows."""
    return template("docs.html").render(
        title=title,
        model=model,
        signature=signature,
        columns=[(c.name, c.type, allowed(c), not c.nullable) for c in signature.features],
        example=json.dumps({"records": [example]}, indent=2, ensure_ascii=False),
        nonce=nonce,
    )


def example_record(package: ModelPackage) -> dict[str, object]:
    """A typical row: the median of each number, the most frequent value of each category. No row that ever was."""
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
