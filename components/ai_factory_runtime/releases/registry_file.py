"""The registry's SQLite file: whether there is a registry in it, and how it is made whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
from pathlib import Path
from typing import Any

from ai_factory_runtime.base.atomic import replacing

_TABLE = "registered_models"


def sqlite_address(database: Path) -> str:
    """The address of a SQLite file. Raises OSError for a path that no address can hold."""
    path = database.resolve().as_posix()
    if "?" in path:
        raise OSError("its path has a question mark, which no database address can hold; move the project")
    return f"sqlite:///{path}"


def has_tables(database: Path, patience: float) -> bool:
    """Whether there is a registry in the file; False where there is no file, or nothing in it.

    Raises sqlite3.Error where it is damaged, or locked for `patience` seconds (MLflow would try four times as long), OSError for a
    database that is something else.
    """
    if not database.exists():
        return False
    sqlite_address(database)
    with contextlib.closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", patience, uri=True)) as file:
        found = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if found and _TABLE not in found:
        raise OSError(f"it is a database of something else, with the tables {', '.join(sorted(found)[:3])}")
    return bool(found)


def ensure_database(database: Path, experiments: Path, patience: float) -> None:
    """Make the registry where there is none; of several processes that want to, one does and the others wait."""
    if has_tables(database, patience):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not has_tables(database, patience):
            create_database(database, experiments)


def create_database(database: Path, experiments: Path) -> None:
    """Make MLflow's tables in a file that gets its name when it is complete: a kill leaves no half-migrated registry.

    MLflow migrates in some hundred transactions; waiting for the disk after each takes seconds, so it is waited for once.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    silence()
    sqlite_address(database)
    with replacing(database) as partial:
        event.listen(Engine, "connect", _do_not_wait)
        try:
            SqlAlchemyStore(sqlite_address(partial), experiments.as_uri()).engine.dispose()
        finally:
            event.remove(Engine, "connect", _do_not_wait)


def _do_not_wait(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def silence() -> None:
    """Keep MLflow from announcing each table, and from printing errors that are raised anyway."""
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
