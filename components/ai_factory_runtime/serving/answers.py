"""Answers: what a model says, as the bytes that go back: JSON with everything, CSV with predictions and probabilities."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict

import pydantic_core

from ai_factory_runtime.serving.endpoint import Answer


def as_json(answer: Answer, request_id: str) -> bytes:
    """One object a row, the model and the request's id."""
    prediction = answer.prediction
    values, shares = prediction.values.tolist(), prediction.probabilities
    if shares is None:
        answers: list[dict[str, object]] = [{"prediction": v} for v in values]
    else:
        names = answer.classes
        answers = [
            {"prediction": v, "probability": dict(zip(names, p, strict=True))}
            for v, p in zip(values, shares.tolist(), strict=True)
        ]
    if answer.reasons is not None:
        for row, reasons in zip(answers, answer.reasons, strict=True):
            row["reasons"] = [asdict(r) for r in reasons]
    model = {"version": answer.model.version, "digest": answer.model.digest}
    return dump({"predictions": answers, "model": model, "request_id": request_id})


def as_csv(answer: Answer) -> bytes:
    """A header line, then one line a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    values, shares = answer.prediction.values.tolist(), answer.prediction.probabilities
    writer.writerow(["prediction", *([] if shares is None else (f"probability_{c}" for c in answer.classes))])
    if shares is None:
        writer.writerows([v] for v in values)
    else:
        writer.writerows([v, *p] for v, p in zip(values, shares.tolist(), strict=True))
    return text.getvalue().encode()


def dump(document: object) -> bytes:
    """Strictly valid JSON: what is no number becomes null."""
    return pydantic_core.to_json(document, inf_nan_mode="null")
