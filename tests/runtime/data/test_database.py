"""Databases: a query's rows are those of the file, whatever their order; nothing is written and no password is shown."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data import database
from ai_factory_runtime.data.data_refusals import SourceUnavailable
from ai_factory_runtime.data.sources import content_sha256, read_source
from ai_factory_runtime.data.twins import row_hashes
from ai_factory_spec.usecase import UseCase
from helpers_runtime import real_rows, usecase_document

ROWS = real_rows("wine").head(60)
SELECT = "SELECT * FROM wine WHERE outcome LIKE 'class%' AND ':word' <> '%s'"


def usecase_of(source: str, query: str) -> UseCase:
    document = usecase_document(ROWS, "multiclass")
    document["data"] |= {"source": source, "query": query}
    return UseCase.model_validate(document)


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    (tmp_path / "data dir").mkdir()
    path = tmp_path / "data dir" / "x.db"
    with sqlite3.connect(path) as connection:
        ROWS.to_sql("wine", connection, index=False)
    connection.close()
    return path


SQLITE = "sqlite:///data dir/x.db"


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[row_hashes(frame).argsort(kind="stable")].reset_index(drop=True)


@pytest.mark.parametrize("chunk", [7, 50_000])
def test_a_query_reads_the_rows_of_the_file(
    tmp_path: Path, sqlite: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHUNK_ROWS", chunk)
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    document = usecase_document(ROWS, "multiclass")
    document["data"]["source"] = "rows.csv"
    from_file = read_source(UseCase.model_validate(document), tmp_path)
    from_query = read_source(usecase_of(SQLITE, SELECT), tmp_path)
    pd.testing.assert_frame_equal(from_query, sorted_rows(from_file))


def test_the_order_in_which_a_database_gives_rows_changes_nothing(tmp_path: Path, sqlite: Path) -> None:
    one, other = (usecase_of(SQLITE, f"SELECT * FROM wine ORDER BY ash {way}") for way in ("ASC", "DESC"))
    pd.testing.assert_frame_equal(read_source(one, tmp_path), read_source(other, tmp_path))
    assert content_sha256(one, tmp_path) == content_sha256(other, tmp_path)
    with sqlite3.connect(sqlite) as connection:
        before = content_sha256(one, tmp_path)
        connection.execute("UPDATE wine SET ash = ash + 0.01 WHERE rowid = 7")
        connection.commit()
    connection.close()
    assert content_sha256(one, tmp_path) != before


def test_a_value_of_another_type_stays_to_be_named(tmp_path: Path, sqlite: Path) -> None:
    query = "SELECT *, CASE WHEN rowid = 3 THEN 'much' ELSE ash END AS ash2 FROM wine"
    document = usecase_document(ROWS.rename(columns={"ash": "ash2"}), "multiclass")
    document["data"] |= {"source": SQLITE, "query": query}
    read = read_source(UseCase.model_validate(document), tmp_path)
    assert (read["ash2"] == "much").sum() == 1
    assert len(read) == 60


@pytest.mark.parametrize(
    "query", ["DELETE FROM wine", "DROP TABLE wine", "INSERT INTO wine SELECT * FROM wine RETURNING *"]
)
def test_a_query_cannot_change_the_database(tmp_path: Path, sqlite: Path, query: str) -> None:
    before = sqlite.read_bytes()
    with pytest.raises((SourceUnavailable, DataUnreadable)):
        read_source(usecase_of(SQLITE, query), tmp_path)
    assert sqlite.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM beer", "no such table: beer"),
        ("SELECT 1 AS one", "none of the contract's columns"),
        ("SELECT ash, hue AS ash FROM wine", "'ash' occur more than once"),
        ("SELEC", "syntax error"),
    ],
)
def test_a_query_that_gives_no_such_rows_is_refused(tmp_path: Path, sqlite: Path, query: str, said: str) -> None:
    with pytest.raises((SourceUnavailable, DataUnreadable), match=said):
        read_source(usecase_of(SQLITE, query), tmp_path)


def test_a_query_without_rows_is_an_empty_table(tmp_path: Path, sqlite: Path) -> None:
    assert read_source(usecase_of(SQLITE, "SELECT * FROM wine WHERE ash < 0"), tmp_path).shape == (0, 14)


def test_a_database_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="no such file"):
        read_source(usecase_of("sqlite:///none.db", SELECT), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database at all, and long enough to be read as one" * 20)
    with pytest.raises(SourceUnavailable, match="not a database"):
        read_source(usecase_of("sqlite:///x.db", SELECT), tmp_path)


def test_the_address_may_stand_in_a_variable_and_is_never_shown(
    tmp_path: Path, sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINE_DATABASE", SQLITE)
    assert len(read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)) == 60
    monkeypatch.delenv("WINE_DATABASE")
    with pytest.raises(SourceUnavailable, match="the variable WINE_DATABASE is not set"):
        read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)
    monkeypatch.setenv("WINE_DATABASE", "user:geheim@host")
    with pytest.raises(SourceUnavailable, match="no database's address") as refusal:
        read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)
    assert "geheim" not in str(refusal.value)


def test_a_dialect_without_its_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="the driver for oracle is not installed"):
        read_source(usecase_of("oracle://somebody@host/x", SELECT), tmp_path)


def test_a_server_that_does_not_answer_is_refused_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINE_DATABASE", "postgresql://somebody:ge%2Fheim@127.0.0.1:9/x?sslpassword=auch-geheim")
    with pytest.raises(SourceUnavailable) as refusal:
        read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)
    text = f"{refusal.value} {refusal.value.hint}"
    assert "127.0.0.1" in text
    assert "heim" not in text


SERVER = "AI_FACTORY_TEST_POSTGRES"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server: the one in the variable, else one that is started here and stopped again."""
    if os.environ.get(SERVER):
        yield os.environ[SERVER]
        return
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        pytest.skip(f"no PostgreSQL server: {SERVER} is not set, and initdb and pg_ctl are not on the path")
    folder = tmp_path_factory.mktemp("pg")
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = {"user": "nobody", "cwd": "/"}
        for parent in (folder, *folder.parents):
            if parent != Path("/tmp") and Path("/tmp") in parent.parents:
                parent.chmod(0o755)
        shutil.chown(folder, "nobody")
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **as_user}
    data = folder / "data"
    (folder / "password").write_text("geheim")
    (folder / "password").chmod(0o644)
    initdb = [
        "initdb",
        "-D",
        str(data),
        "-U",
        "tester",
        "--auth=scram-sha-256",
        f"--pwfile={folder / 'password'}",
        "-N",
    ]
    subprocess.run(initdb, **quiet)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run(["pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start"], **quiet)
    try:
        yield f"postgresql://tester:geheim@/postgres?host={folder}"
    finally:
        subprocess.run(["pg_ctl", "-D", str(data), "-m", "immediate", "stop"], **quiet)


@pytest.fixture
def wine(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    ROWS.assign(tasted=pd.Timestamp("2024-05-06", tz="UTC")).to_sql("wine", engine, index=False, if_exists="replace")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM wine RETURNING 1'"
        )
    engine.dispose()
    monkeypatch.setenv("WINE_DATABASE", postgres)


def test_postgresql_gives_the_rows_of_the_file(tmp_path: Path, sqlite: Path, wine: None) -> None:
    from_server = read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)
    pd.testing.assert_frame_equal(from_server, read_source(usecase_of(SQLITE, SELECT), tmp_path))


def test_postgresql_is_read_and_not_written(tmp_path: Path, wine: None) -> None:
    with pytest.raises(SourceUnavailable, match="read-only transaction"):
        read_source(usecase_of("$WINE_DATABASE", "SELECT *, wipe() FROM wine"), tmp_path)
    assert len(read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)) == 60


def test_postgresql_refuses_a_wrong_password_which_is_not_shown(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINE_DATABASE", postgres.replace(":geheim@", ":falsch-geheim@"))
    with pytest.raises(SourceUnavailable, match="password authentication failed") as refusal:
        read_source(usecase_of("$WINE_DATABASE", SELECT), tmp_path)
    assert "falsch" not in f"{refusal.value} {refusal.value.hint}"
