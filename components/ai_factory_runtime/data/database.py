"""A database's rows: the result of `data.query`, streamed, read-only, in an order that the rows decide.

The address may stand in an environment variable, which `data.source` names as `$NAME`; what it holds is never shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd
from ai_factory_spec.usecase import Contract, Data

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.data_refusals import SourceUnavailable
from ai_factory_runtime.data.frames import reject_twins, settled
from ai_factory_runtime.data.twins import row_hashes

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

CHUNK_ROWS = 50_000
CONNECT_SECONDS = 10
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_HINT = "Correct data.source or data.query in usecase.yaml."


def read_query(data: Data, root: Path, environment: Mapping[str, str] = os.environ) -> pd.DataFrame:
    """The contract's columns of the query's rows, as `frames.settled` gives them, sorted by a hash of each row.

    A database promises no order, so the same rows must not depend on the one they came in. The transaction is rolled back
    and, where the database can, opened read-only. Raises SourceUnavailable, DataUnreadable.
    """
    url = _address(data.source, root, environment)
    with _told(data.source, url):
        engine = _engine(data.source, url)
        try:
            with engine.connect() as connection:
                frame = _rows(connection, str(data.query), data)
        finally:
            engine.dispose()
    return frame.iloc[row_hashes(frame).argsort(kind="stable")].reset_index(drop=True)


def _rows(connection: Connection, query: str, data: Data) -> pd.DataFrame:
    # Without parameters the driver must not look for placeholders in the query, such as the % of LIKE '%x'.
    options: dict[str, Any] = {"stream_results": True, "no_parameters": True}
    if connection.dialect.name == "postgresql":
        options |= {"postgresql_readonly": True}
    result = connection.execution_options(**options).exec_driver_sql(query)
    if not result.returns_rows:
        raise DataUnreadable(path=data.source, problem="data.query gives no rows; it must be a SELECT", hint=_HINT)
    names = list(result.keys())
    reject_twins(pd.DataFrame(columns=pd.Index(names)), [c.name for c in data.contract.columns], source="the query")
    if not set(names) & {c.name for c in data.contract.columns}:
        expected = ", ".join(repr(c.name) for c in data.contract.columns[:5])
        problem = f"data.query gives none of the contract's columns ({expected}, …)"
        raise DataUnreadable(path=data.source, problem=problem, hint=_HINT)
    chunks = [_chunk(rows, names, data.contract) for rows in result.partitions(CHUNK_ROWS)]
    if not chunks:
        return _chunk([], names, data.contract)
    return pd.concat(chunks, ignore_index=True)


def _chunk(rows: Any, names: list[str], contract: Contract) -> pd.DataFrame:
    return settled(pd.DataFrame([tuple(row) for row in rows], columns=pd.Index(names), dtype=object), contract)


def _address(source: str, root: Path, environment: Mapping[str, str]) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    text = environment.get(source[1:], "") if source.startswith("$") else source
    if not text:
        raise SourceUnavailable(
            source=source, problem=f"the variable {source[1:]} is not set",
            hint=f"Set {source[1:]} to the database's address, such as postgresql://user:password@host/database.",
        )  # fmt: skip
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SourceUnavailable(
            source=source, problem="that is no database's address", hint="An address is dialect://user@host/database."
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    return _sqlite(source, url, root) if url.get_backend_name() == "sqlite" else url


def _sqlite(source: str, url: URL, root: Path) -> URL:
    """SQLite makes a file that is not there, and writes to one that is; this address does neither."""
    path = (root / (url.database or "")).resolve()
    if not path.is_file():
        raise SourceUnavailable(source=source, problem="there is no such file", hint=_HINT)
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})


def _engine(source: str, url: URL) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    arguments = {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() in ("postgresql", "mysql") else {}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        what = error.name if isinstance(error, ModuleNotFoundError) else url.drivername
        extra = " (its extra `postgres` for PostgreSQL)" if url.get_backend_name() == "postgresql" else ""
        raise SourceUnavailable(
            source=source, problem=f"the driver for {url.get_backend_name()} is not installed ({what})",
            hint=f"Install the driver beside the project{extra}.",
        ) from None  # fmt: skip


@contextmanager
def _told(source: str, url: URL) -> Iterator[None]:
    """What the database refuses, in its own words without the statement and without anything secret."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except DBAPIError as error:
        problem = _without_secrets(" ".join(str(error.orig).split()), url)
        hint = "Is the table there, and may this user read it? " + _HINT
        raise SourceUnavailable(source=source, problem=problem.rstrip("."), hint=hint) from None
    except SQLAlchemyError as error:
        raise SourceUnavailable(source=source, problem=type(error).__name__, hint=_HINT) from None


def _without_secrets(text: str, url: URL) -> str:
    """The text without the address's password and options, plain or quoted as in an address."""
    options = [v for values in url.query.values() for v in ([values] if isinstance(values, str) else values)]
    secrets = [str(url.password)] if url.password else []
    secrets += [] if url.get_backend_name() == "sqlite" else options
    for secret in sorted({form for s in secrets if s for form in (s, quote(s, safe=""))}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
