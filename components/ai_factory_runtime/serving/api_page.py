"""The page at /docs: what the endpoint takes and gives, an example made from the training data's sketch, a place to try it."""

from __future__ import annotations

import json

from ai_factory_runtime.data.screening import allowed
from ai_factory_runtime.documents.pages import template
from ai_factory_runtime.serving.endpoint import Endpoint


def render_page(title: str, endpoint: Endpoint, example: dict[str, object], nonce: str) -> str:
    """The page as HTML; `nonce` is the one that the page's security policy allows."""
    signature = endpoint.package.signature
    return template("docs.html").render(
        title=title,
        model=endpoint.model,
        acceleration=endpoint.acceleration,
        signature=signature,
        columns=[(c.name, c.type, allowed(c), not c.nullable) for c in signature.features],
        example=json.dumps({"records": [example], "reasons": 3}, indent=2, ensure_ascii=False),
        nonce=nonce,
    )
