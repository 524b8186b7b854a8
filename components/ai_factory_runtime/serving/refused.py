"""A request that gets no answer: the status, one sentence, and what is wrong with each of its values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict

from ai_factory_runtime.data.screening import Problem
from ai_factory_runtime.monitoring.request_counts import Rule, rules_of

MAX_PROBLEMS = 100
BAD_REQUEST, TOO_LARGE, WRONG_KIND, UNPROCESSABLE = 400, 413, 415, 422
BROKEN = {
    BAD_REQUEST: "a body that cannot be read",
    WRONG_KIND: "neither JSON nor CSV",
    UNPROCESSABLE: "a value that the data contract does not allow",
}
"""The statuses that say that a client sends something else than the contract, in words that hold nothing of it."""


class RequestRefused(Exception):  # noqa: N818 - the name says what happened, as in `errors`
    """A request that gets no answer: the HTTP status, one sentence, and for 422 the problem of each value."""

    def __init__(self, status: int, message: str, problems: Sequence[Problem] = (), total: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.problems = tuple(problems)
        self.total = total or len(self.problems)

    def rules(self, columns: Collection[str]) -> frozenset[Rule]:
        """The rules it broke, as the monitor counts them; of names only those of the model's `columns`."""
        return rules_of([(p.column, p.reason) for p in self.problems], columns, BROKEN.get(self.status, "refused"))

    def body(self) -> dict[str, object]:
        """The answer's JSON."""
        document: dict[str, object] = {"error": str(self)}
        if self.problems:
            document |= {"problems": [asdict(p) for p in self.problems], "total": self.total}
        return document


class Problems:
    """Collects problems: all are counted, the first MAX_PROBLEMS kept."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.total = 0

    def add(self, problem: Problem) -> None:
        """Count one, and keep it while there is room."""
        self.total += 1
        if len(self.kept) < MAX_PROBLEMS:
            self.kept.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add each."""
        for problem in problems:
            self.add(problem)

    def raise_any(self) -> None:
        """Raise RequestRefused with those kept, in the order of their rows, where there is any."""
        if self.total:
            what = "1 value is" if self.total == 1 else f"{self.total} values are"
            message = f"{what} not what the data contract allows."
            raise RequestRefused(UNPROCESSABLE, message, sorted(self.kept, key=lambda p: p.row), self.total)
