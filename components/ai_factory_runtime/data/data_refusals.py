"""What reading, cleansing and protecting the data refuse, beside `errors.DataUnreadable` and `errors.ContractBroken`.

FactoryError (ai_factory_spec.errors)
├── SourceUnavailable    a bucket, a database or a variable that data.source names does not answer    exit 1
├── SourceElsewhere      a batch was asked of data.source, which is not in a file here                     1
├── PartsDisagree        the parts of a folder are not one table                                           4
├── DuplicateRows        rows occur twice, and usecase.yaml says stop                                      4
└── TokenUnreadable      a text that is no token of this key and use case                                  1
"""

# ruff: noqa: N818 - the names say what happened, as in `errors`.

from __future__ import annotations

from collections.abc import Sequence

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, FactoryError


class SourceUnavailable(FactoryError):
    """Where the rows are kept does not answer, or not to us. The message never holds a password."""

    slug = "source-unavailable"

    def __init__(self, *, source: str, problem: str, hint: str) -> None:
        super().__init__(f"The source {source} cannot be read: {problem}.", hint=hint)


class SourceElsewhere(FactoryError):
    """A batch without a file means what `data.source` names, and a bucket's or a database's rows are no file."""

    slug = "source-elsewhere"

    def __init__(self, *, source: str, query: bool) -> None:
        several = " --recursive" if source.endswith("/") else ""
        fetched = f"`aws s3 cp {source} data/new/{several}`"
        export = "Write the query's rows to a CSV or Parquet file" if query else fetched
        super().__init__(
            f"`score` without a file scores what data.source names, and {source} is not a file or a folder here.",
            hint=f"{export}, then name it: `score FILE`. A batch reads files only, so that a killed one can go on.",
        )


class PartsDisagree(FactoryError):
    """A folder's parts differ in their columns or in a column's type. `problems` holds all differences."""

    slug = "parts-disagree"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join([f"The parts of {source} are not one table:", *(f"  {p}" for p in self.problems)]),
            hint="Write the parts named here again as the others are, or move them out of the folder.",
        )


class DuplicateRows(FactoryError):
    """Rows are equal in every column, and `data.duplicates.exact` is stop."""

    slug = "duplicate-rows"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, copies: int, rows: int, places: Sequence[int]) -> None:
        shown = ", ".join(map(str, places))
        super().__init__(
            f"{copies} of {rows} rows that satisfy the contract are copies of an earlier one in every column (places {shown}"
            f"{', …' if len(places) < copies else ''} among them); data.duplicates.exact is stop, so none may be.",
            hint="Find out where the copies come from, or set data.duplicates.exact to drop or keep in usecase.yaml.",
        )


class TokenUnreadable(FactoryError):
    """A text that was not made by `tokenise` with this key, for one of these columns. The text is not repeated."""

    slug = "token-unreadable"

    def __init__(self, *, columns: Sequence[str]) -> None:
        listed = ", ".join(map(repr, columns)) or "none"
        super().__init__(
            f"That is no token of this use case and this key; columns with tokens: {listed}.",
            hint="Copy the whole token (tok_…), and set AI_FACTORY_PII_KEY to the key it was made with.",
        )
