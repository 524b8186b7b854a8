"""What SageMaker captured of an endpoint -> the captures that `monitor` reads.

    python -m ai_factory_runtime.serving.endpoint_capture SOURCE TARGET      # the model package is the one AI_FACTORY_MODEL names

SageMaker keeps requests and answers as JSON lines in folders by hour, each body as it went over the wire. Here each body is
read by the schema that the service itself used, so the monitor sees exactly the rows that the model saw. An exchange that
cannot be told apart (an answer in CSV names no model) is counted and passed over. Of one that was refused the rules that it
broke are counted beside the captures, for the monitor; its content is not kept.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ai_factory_spec import UseCase, load_usecase

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import PiiKeyMissing
from ai_factory_runtime.base.prediction import Signature
from ai_factory_runtime.base.project import PROJECT_VARIABLE, USECASE_FILE
from ai_factory_runtime.data.rows import Rows
from ai_factory_runtime.model_package.package import SIGNATURE
from ai_factory_runtime.monitoring.labels import protected_ids
from ai_factory_runtime.monitoring.request_counts import SUFFIX, Rule, write_counts
from ai_factory_runtime.serving.refused import BROKEN, RequestRefused
from ai_factory_runtime.serving.requests import RequestSchema

FILE = "endpoint.jsonl"
CONVERTED, REFUSED = "converted", "the request was refused"


class _Unusable(Exception):  # noqa: N818 - a reason to pass an exchange over
    """Why an exchange is passed over."""


class _Refused(_Unusable):
    """A request that the service refused, and the rules it broke."""

    def __init__(self, refused: RequestRefused, columns: Collection[str]) -> None:
        super().__init__(REFUSED)
        self.rules = refused.rules(columns)


def convert(source: Path, target: Path, signature: Signature, usecase: UseCase) -> Counter[str]:
    """Write every usable exchange under `source` to one file in `target`; how many were converted, and why others were not.

    Without a usable exchange there is no such file. How many were answered and refused is written beside it where one was refused.
    """
    names = {c.name for c in usecase.data.contract.columns} - {c.name for c in signature.features}
    own = usecase.data.id if usecase.data.id in names else None
    schema, counts, lines = RequestSchema(signature.features, frozenset(names), own), Counter[str](), []
    rules = Counter[Rule]()
    for record in _records(source):
        try:
            entries = _entries(record, schema, signature, usecase)
        except _Unusable as reason:
            rules.update(reason.rules if isinstance(reason, _Refused) else ())
            counts[str(reason)] += 1
            continue
        lines += [json.dumps(entry, ensure_ascii=False) for entry in entries]
        counts[CONVERTED] += 1
    if lines:
        target.mkdir(parents=True, exist_ok=True)
        write_atomically(target / FILE, ("\n".join(lines) + "\n").encode())
    if counts[REFUSED]:
        told = [{"column": c, "rule": r, "requests": n} for (c, r), n in sorted(rules.items())]
        counted = {"answered": counts[CONVERTED], "refused": counts[REFUSED], "rules": told}
        write_counts(target / f"endpoint{SUFFIX}", dt.datetime.now(dt.UTC), {"": counted})
    return counts


def _records(source: Path) -> Iterator[dict[str, Any] | None]:
    for path in sorted(source.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            yield record if isinstance(record, dict) else None


def _entries(
    record: dict[str, Any] | None, schema: RequestSchema, signature: Signature, usecase: UseCase
) -> list[dict[str, Any]]:
    """One entry for each row of an exchange, as `capture` writes them. Raises _Unusable."""
    try:
        if record is None:
            raise _Unusable("a damaged line")
        captured, about = record["captureData"], record["eventMetadata"]
        asked, answered = captured["endpointInput"], captured["endpointOutput"]
        if "json" not in str(answered["observedContentType"]):
            raise _Unusable("the answer is not JSON, so it names no model")
        answer = json.loads(_body(answered))
        if "error" in answer:
            raise _why(asked, schema)
        model, predictions = answer["model"], answer["predictions"]
        rows = _rows(asked, schema)
    except RequestRefused:
        raise _Unusable("not an exchange with this model") from None
    except (KeyError, TypeError, ValueError):
        raise _Unusable("not an exchange with this service") from None
    if len(rows) != len(predictions):
        raise _Unusable("not an exchange with this service")
    # The id by which the caller knows the request: its own, else the one in the answer; true values come with it later.
    request = about.get("inferenceId") or answer.get("request_id") or about["eventId"]
    common = {"at": about["inferenceTime"], "request": request, **{k: model[k] for k in ("version", "digest")}}
    ids = _ids(rows.ids, usecase) or [None] * len(rows)
    return [
        {**common, "position": i, "id": ids[i], "row": row, "prediction": p["prediction"], "probabilities": _shares(p, signature)}
        for i, (row, p) in enumerate(zip(rows.plain(), predictions, strict=True))
    ]  # fmt: skip


def _why(asked: dict[str, Any], schema: RequestSchema) -> _Unusable:
    """Why the service gave no answer: what the request broke, found again by the schema that refused it."""
    try:
        _rows(asked, schema)
    except RequestRefused as refused:
        if refused.status in BROKEN:
            return _Refused(refused, {c.name for c in schema.features})
    return _Unusable("the service gave no answer")


def _rows(asked: dict[str, Any], schema: RequestSchema) -> Rows:
    """The rows of a request, however many: how many may be is the service's to say. Raises RequestRefused, KeyError, ValueError."""
    return schema.read(_body(asked), text="csv" in str(asked["observedContentType"]), most=sys.maxsize).rows


def _ids(values: Sequence[Any] | None, usecase: UseCase) -> list[str | None] | None:
    """The rows' ids as the PII policy leaves them; without the key that it needs there are none."""
    if values is None:
        return None
    try:
        kept = protected_ids(usecase, pd.Series(values, dtype=object))
    except PiiKeyMissing:
        return None
    return [None if pd.isna(value) else str(value) for value in kept]


def _shares(prediction: dict[str, Any], signature: Signature) -> list[float] | None:
    shares = prediction.get("probability")
    return None if shares is None else [shares[name] for name in signature.classes]


def _body(part: dict[str, Any]) -> bytes:
    data = str(part["data"])
    return base64.b64decode(data) if part.get("encoding") == "BASE64" else data.encode()


def main(source: Path, target: Path, package: Path, root: Path) -> None:
    """Convert and say what became of the exchanges, on standard error."""
    signature = Signature.from_json((package / SIGNATURE).read_text(encoding="utf-8"))
    counts = convert(source, target, signature, load_usecase(root / USECASE_FILE))
    sys.stderr.write("".join(f"{n} {what}\n" for what, n in counts.most_common()) or "no exchanges were captured\n")


if __name__ == "__main__":
    main(
        source=Path(sys.argv[1]),
        target=Path(sys.argv[2]),
        package=Path(os.environ["AI_FACTORY_MODEL"]),
        root=Path(os.environ[PROJECT_VARIABLE]),
    )
