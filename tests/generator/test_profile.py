"""A data file's columns are taken for what they are, and a file that is no table is refused with the reason."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from pathlib import Path

import duckdb
import pytest
from ai_factory.data_errors import (
    ColumnsDuplicate,
    DataEmpty,
    DataError,
    DataFileUnreadable,
    NothingToLearnFrom,
    TargetMissing,
    TargetUnusable,
)
from ai_factory.datafile import open_table
from ai_factory.profile import profile_file
from ai_factory_spec.tables import DELIMITERS, MISSING_WORDS
from helpers_profile import ROWS, cycle, numbers, profile_columns, write_csv, write_parquet
from hypothesis import given, settings
from hypothesis import strategies as st

# Types -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5], "integer"),
        ([0, 1], "category"),
        ([1, 2], "category"),
        ([2023, 2024], "integer"),
        ([1.5, 2, 3], "number"),
        (["1.0", "2.0", "3.0"], "integer"),
        (["1e5", "-2.5E-3", " 7 "], "number"),
        (["007", "012", "100"], "category"),
        (["12345678901234567", "12345678901234568", "3"], "category"),
        (["true", "False", "TRUE"], "boolean"),
        (["yes", "no"], "category"),
        (["red", "green", "blue"], "category"),
        (["2024-01-31", "2024-02-01"], "datetime"),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:01.5+02:00"], "datetime"),
        (["2024-01-31", "2024-13-01"], "category"),
        (["1600-01-31", "2024-01-01"], "category"),
        (["31.01.2024", "01.02.2024"], "category"),
        (["1", "2", "three"], "category"),
    ],
)
def test_a_columns_values_give_its_type(tmp_path: Path, values: list[object], expected: str) -> None:
    assert profile_columns(tmp_path, x=cycle(values)).column("x").type == expected


def test_texts_of_many_values_are_text_unless_each_stands_for_enough_rows(tmp_path: Path) -> None:
    many = [f"v{i}" for i in range(60)]
    found = profile_columns(
        tmp_path, unique=many, repeated=cycle(many[:20]), long=cycle([c * 80 for c in "abcdefghijkl"])
    )
    assert [found.column(name).type for name in ("unique", "repeated", "long")] == ["text", "category", "text"]
    found = profile_columns(
        tmp_path, x=cycle(many, 1200), y=[f"w{i % 61}" for i in range(1200)], z=[f"w{i % 300}" for i in range(1200)]
    )
    assert [found.column(name).type for name in "xyz"] == ["category", "text", "text"]


@pytest.mark.parametrize("word", [w for w in MISSING_WORDS if w])
def test_a_word_for_a_missing_value_is_one(tmp_path: Path, word: str) -> None:
    found = profile_columns(tmp_path, number=cycle([word, 1.5, 2, 3]), category=cycle([word, "a", "b", "c"]))
    assert [(c.type, c.missing) for c in found.columns[2:]] == [("number", ROWS / 4), ("category", ROWS / 4)]
    assert word not in dict(found.column("category").values)


def test_numbers_with_odd_values_among_them_are_texts_with_a_note(tmp_path: Path) -> None:
    column = profile_columns(tmp_path, x=["?", *range(59)]).column("x")
    assert column.type == "text"
    assert column.note == "1 values are no numbers, such as '?'; without them it would be a number"


def test_dates_that_are_not_iso_are_texts_with_a_note(tmp_path: Path) -> None:
    days = [f"{1 + i % 28:02}/{1 + i % 12:02}/20{10 + i % 14}" for i in range(60)]
    assert "not ISO 8601" in profile_columns(tmp_path, x=days).column("x").note


@pytest.mark.parametrize(
    ("head", "tail", "expected"),
    [
        ("NA", ["1.5", "2"], "number"),
        ("", ["3", "14"], "integer"),
        ("1", ["x"], "category"),
        ("x", ["1", "2"], "category"),
        ("2024-01-01", ["soon"], "category"),
        ("7", ["007"], "category"),
    ],
)
def test_the_last_rows_count_as_much_as_the_first(tmp_path: Path, head: str, tail: list[str], expected: str) -> None:
    assert profile_columns(tmp_path, x=[head] * 3_000 + tail).column("x").type == expected


def test_ranges_missing_values_and_uniqueness_are_counted(tmp_path: Path) -> None:
    found = profile_columns(tmp_path, x=[*range(-5, 54), ""], y=range(60))
    x, y = found.column("x"), found.column("y")
    assert (x.minimum, x.maximum, x.missing, x.missing_share, x.unique) == (-5, 53, 1, 1 / 60, False)
    assert (y.distinct, y.unique) == (60, True)
    assert found.rows == 60


def test_columns_that_teach_nothing_are_left_out_with_the_reason(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "x.csv",
        {"": range(60), "empty": [""] * 60, "same": ["x"] * 60, "a": numbers(), "y": cycle(["n", "j"])},
    )
    assert {c.name: c.why for c in profile_file(path, "y").left_out} == {
        "": "it has no name", "empty": "it has no value", "same": "its only value is 'x'",
    }  # fmt: skip


def test_parquet_keeps_its_own_types(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        """SELECT i AS key, i / 7.0 AS ratio, (i % 3)::TINYINT AS small, i % 2 = 0 AS flag, CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END AS kind,
           TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS at, DATE '2024-01-01' + i::INTEGER AS day, [i] AS nested, 'x'::BLOB AS raw,
           CASE WHEN i > 5 THEN i * 1.5::DECIMAL(10, 2) END AS amount, TIMESTAMPTZ '2024-01-01 12:00:00+02' + INTERVAL (i) HOUR AS zoned
           FROM range(100) t(i)""",
    )
    found = profile_file(path, "kind")
    assert {c.name: c.type for c in found.columns} == {
        "key": "integer", "ratio": "number", "small": "integer", "flag": "boolean", "kind": "category", "at": "datetime",
        "day": "datetime", "amount": "number", "zoned": "datetime",
    }  # fmt: skip
    assert found.column("zoned").minimum == dt.datetime(2024, 1, 1, 10)
    assert found.column("amount").missing == 6
    assert [c.why for c in found.left_out] == ["it is nested or binary"] * 2


def test_csv_and_parquet_of_the_same_rows_give_the_same_columns(tmp_path: Path) -> None:
    columns = {"a": numbers(), "b": cycle(["x", "y", "", "z"]), "c": range(60), "y": cycle([0, 1])}
    path = write_csv(tmp_path / "x.csv", columns)
    parquet = write_parquet(tmp_path / "x.parquet", f"SELECT * FROM read_csv('{path}')")
    one, other = profile_file(path, "y"), profile_file(parquet, "y")
    facts = [[(c.name, c.type, c.missing, c.minimum, c.maximum, c.values) for c in p.columns] for p in (one, other)]
    assert facts[0] == facts[1]


# Task and classes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "task", "certain"),
    [
        (["no", "yes"], "binary", True),
        (["True", "False"], "binary", True),
        ([0, 1], "binary", True),
        (["a", "b", "c"], "multiclass", True),
        ([1, 2, 3, 4], "multiclass", False),
        (list(range(11)), "regression", True),
        ([1.5, 2.5], "regression", True),
    ],
)
def test_the_target_gives_the_task(tmp_path: Path, values: list[object], task: str, certain: bool) -> None:
    found = profile_columns(tmp_path, "y", y=cycle(values))
    assert found.task == task
    assert found.roles.task is not None
    assert found.roles.task.certain == certain


@pytest.mark.parametrize(
    ("values", "positive", "certain"),
    [
        (["no", "yes", "yes"], "yes", True),
        ([0, 1, 1], "1", True),
        (["False", "True", "True"], "true", True),
        (["stayed", "churned", "churned"], "churned", True),
        (["defaulted", "not defaulted", "defaulted"], "defaulted", True),
        (["benign", "malignant", "malignant"], "malignant", True),
        (["left", "left", "right"], "right", False),
        ([1, 2, 1], "2", False),
    ],
)
def test_the_class_of_interest_says_yes_or_is_the_rarer_one(
    tmp_path: Path, values: list[object], positive: str, certain: bool
) -> None:
    found = profile_columns(tmp_path, "y", y=cycle(values))
    assert found.roles.positive is not None
    assert (found.positive, found.roles.positive.certain) == (positive, certain)


def test_the_class_balance_is_counted(tmp_path: Path) -> None:
    assert profile_columns(tmp_path).class_balance == (("no", 40), ("yes", 20))
    assert profile_columns(tmp_path, "reading").class_balance == ()


# Id, time, persons -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "expected", "certain"),
    [
        ({"customer_id": [f"C{i}" for i in range(60)]}, "customer_id", True),
        ({"CustomerID": range(100, 160)}, "CustomerID", True),
        ({"patient id": cycle([f"p{i}" for i in range(30)])}, "patient id", True),
        ({"order_id": range(60), "customer_id": cycle([f"c{i}" for i in range(30)])}, "customer_id", True),
        ({"n": range(60)}, "n", False),
        ({"code": [f"X{i * i}" for i in range(60)]}, "code", False),
        ({"country_id": cycle([1, 2, 3, 4])}, None, True),
        ({"amount": [i * i for i in range(60)]}, None, True),
        ({"paid": [i * 1.5 for i in range(60)]}, None, True),
    ],
)
def test_the_column_that_names_the_entity_is_found(
    tmp_path: Path, columns: dict[str, list[object]], expected: str | None, certain: bool
) -> None:
    found = profile_columns(tmp_path, **columns).roles.id
    assert (found.value if found else None) == expected
    assert found is None or found.certain == certain


def test_another_unique_id_is_ignored_rather_than_learned(tmp_path: Path) -> None:
    found = profile_columns(tmp_path, order_id=range(60), customer_id=cycle([f"c{i}" for i in range(30)]))
    assert [g.value for g in found.roles.ignored] == ["order_id"]


@pytest.mark.parametrize(
    ("columns", "expected", "certain"),
    [
        (["created_at"], "created_at", True),
        (["reported"], "reported", False),
        (["reported", "orderDate"], "orderDate", False),
        (["date_of_birth"], None, True),
    ],
)
def test_the_column_that_orders_the_rows_is_found(
    tmp_path: Path, columns: list[str], expected: str | None, certain: bool
) -> None:
    days = [f"20{10 + i // 12}-{1 + i % 12:02}-01" for i in range(60)]
    found = profile_columns(tmp_path, **dict.fromkeys(columns, days)).roles.time
    assert (found.value if found else None) == expected
    assert found is None or found.certain == certain


def test_a_date_with_gaps_orders_no_rows(tmp_path: Path) -> None:
    assert profile_columns(tmp_path, closed_at=cycle(["2024-01-01", "2024-01-02", ""])).roles.time is None


@pytest.mark.parametrize(
    ("name", "values", "kind", "certain"),
    [
        ("contact", [f"user{i}@example.com" for i in range(60)], "email", True),
        ("x", [f"+49 30 {100000 + i}" for i in range(60)], "phone", True),
        ("x", [f"(555) 010-{1000 + i}" for i in range(60)], "phone", True),
        ("mobile", range(4915100000, 4915100060), "phone", False),
        ("x", [f"10.0.0.{i}" for i in range(60)], "ip_address", True),
        ("x", [f"2001:db8::{i:x}" for i in range(60)], "ip_address", True),
        ("x", [f"123-45-{6000 + i}" for i in range(60)], "national_id", True),
        ("ssn", range(100000000, 100000060), "national_id", False),
        ("iban", [f"DE{10 + i}500105175407324931" for i in range(60)], "other", True),
        ("LastName", [f"Person{i}" for i in range(60)], "name", False),
        ("customer_name", [f"Person{i}" for i in range(60)], "name", False),
        ("street", [f"{i} Main Street" for i in range(60)], "address", False),
        ("birth_date", [f"19{10 + i}-01-01" for i in range(60)], "other", False),
    ],
)
def test_a_column_that_identifies_a_person_is_found(
    tmp_path: Path, name: str, values: list[object], kind: str, certain: bool
) -> None:
    (found,) = profile_columns(tmp_path, **{name: values}).roles.pii
    assert (found.column, found.kind, found.certain) == (name, kind, certain)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("phone_calls", cycle(range(10))),
        ("email_opens", cycle(range(5))),
        ("product_name", cycle(["a", "b", "c"])),
        ("mail_sent", cycle(["true", "false"])),
        ("version", [f"1.{i}.0" for i in range(60)]),
        ("day", [f"20{10 + i // 12}-{1 + i % 12:02}-01" for i in range(60)]),
        ("day", [f"{1 + i % 28:02}.{1 + i % 12:02}.2024" for i in range(60)]),
        ("ip", cycle([1, 2, 3])),
    ],
)
def test_a_name_alone_makes_no_person_of_a_count_or_a_product(tmp_path: Path, name: str, values: list[object]) -> None:
    assert profile_columns(tmp_path, **{name: values}).roles.pii == ()


def test_sensitive_groups_are_suggested_by_name(tmp_path: Path) -> None:
    found = profile_columns(tmp_path, Gender=cycle(["f", "m"]), sex=cycle([1, 2]), sextant=cycle([1, 2]))
    assert [(g.value, g.certain) for g in found.roles.sensitive] == [("Gender", False), ("sex", False)]


# Names and forms -------------------------------------------------------------------------------------------------------

ODD_NAMES = [
    'a "b"',
    "a'b",
    "a;b",
    "a\nb",
    "{{ x }}",
    "{% raw %}",
    "ü 名 🎉",
    "c0",
    "v",
    "name",
    "select",
    "\\",
    "$1",
    " a ",
    "x" * 300,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    found = profile_columns(tmp_path, **{name: cycle([1.5, 2.5])})
    assert found.column(name).type == "number"
    assert profile_columns(tmp_path, name, **{name: cycle(["p", "q"])}).task == "binary"


@settings(max_examples=30)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_whatever_the_names_the_columns_are_found(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    names = [name.replace("\r", "\n").replace("\0", "") + "!" for name in names]
    columns = {name: cycle([i + 0.5, i + 1]) for i, name in enumerate(dict.fromkeys(names))}
    path = write_csv(tmp_path_factory.mktemp("names") / "x.csv", columns)
    assert [c.name for c in profile_file(path, None).columns] == list(columns)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = write_csv(
        tmp_path / "x.csv", {"a, b;c": numbers(), "d": cycle(["1,5", "2;5", "3"]), "y": cycle(["n", "j"])}, delimiter
    )
    found = profile_file(path, "y")
    assert (found.delimiter, [c.name for c in found.columns]) == (delimiter, ["a, b;c", "d", "y"])


def test_line_breaks_and_quotes_inside_cells_are_part_of_the_value(tmp_path: Path) -> None:
    found = profile_columns(tmp_path, x=cycle(["one\ntwo", 'say "hi"', "a,b"]))
    assert sorted(dict(found.column("x").values)) == ["a,b", "one\ntwo", 'say "hi"']
    assert found.rows == ROWS


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfa,y\r\n" + b"1,n\r\n2,j\r\n3,n\r\n" * 20)
    found = profile_file(path, "y")
    assert [(c.name, c.type) for c in found.columns] == [("a", "integer"), ("y", "category")]


@pytest.mark.parametrize("name", ["a b.csv", "d[1].csv", "*.csv", "q?.csv", "it's.csv", "ü.csv"])
def test_any_file_name_is_only_a_file_name(tmp_path: Path, name: str) -> None:
    write_csv(tmp_path / "other.csv", {"z": [1]})
    path = write_csv(tmp_path / name, {"a": numbers(), "y": cycle(["n", "j"])})
    assert profile_file(path, "y").rows == ROWS


def test_nothing_is_left_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    profile_columns(tmp_path)
    assert list(work.iterdir()) == []


# What is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (b"", DataEmpty, "the file is empty"),
        (b" \n\n", DataEmpty, "the file is empty"),
        (b"a,b\n", DataEmpty, "columns and no rows"),
        (b"a,y,a\n1,2,3\n", ColumnsDuplicate, "share a name: 'a'"),
        (b"a,y\n1,n\n2,j,3\n", DataFileUnreadable, "record 3 has 3 cells, the header has 2"),
        (b"a,y\n1,n\n2\n", DataFileUnreadable, "record 3 has 1 cell, the header has 2"),
        (b"a,y\n" + b"1,n\n" * 5000 + b"2,j,3\n", DataFileUnreadable, "line 5,002 has 3 cells, the header has 2"),
        (b"a,y\n" + b"1,n\n" * 5000 + b"2\n", DataFileUnreadable, "line 5,002 has 1 cell, the header has 2"),
        (b"a,y\n" + b"1,n\n" * 200 + b'2,"j\n', DataFileUnreadable, "not closed"),
        ("a,y\n1,café\n".encode("latin-1"), DataFileUnreadable, "not encoded in UTF-8; byte 0xe9 in line 2"),
        (b"a,y\n" + b"1,n\n" * 9000 + "2,é\n".encode("latin-1"), DataFileUnreadable, "byte 0xe9 in line 9,002"),
        ("a,y\n1,n\n".encode("utf-16"), DataFileUnreadable, "encoded as UTF-16"),
        ("a,y\n1,n\n".encode("utf-16-le"), DataFileUnreadable, "UTF-16 or UTF-32"),
        ("a,y\n1,n\n".encode("utf-16-be"), DataFileUnreadable, "UTF-16 or UTF-32"),
        (b"PK\x03\x04rest", DataFileUnreadable, "Excel workbook"),
        (b"\x1f\x8brest", DataFileUnreadable, "compressed with gzip"),
        (b'[{"a": 1, "y": "n"}]', DataFileUnreadable, "it is JSON"),
        (b"PAR1\x15\x04rest", DataFileUnreadable, "it is Parquet, and its name does not say so"),
    ],
)
def test_a_file_that_holds_no_table_is_refused_with_the_reason(
    tmp_path: Path, raw: bytes, error: type[DataError], message: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    with pytest.raises(error) as caught:
        profile_file(path, "y")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_parquet_file_that_is_cut_or_overwritten_is_refused(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "x.parquet", "SELECT i AS a, i % 2 AS y FROM range(5000) t(i)").read_bytes()
    overwritten = whole[:4] + b"\0" * 9000 + whole[9000:-500] + b"\0" * 500
    for damaged in (b"PAR1 cut short", whole[: len(whole) // 2], overwritten):
        (tmp_path / "x.parquet").write_bytes(damaged)
        with pytest.raises(DataFileUnreadable, match="no sound Parquet file"):
            profile_file(tmp_path / "x.parquet", "y")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table([[1, 2], [{"x": 1}, {"x": 2}], [3, 4]], names=["a", "x", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ColumnsDuplicate, match="'a'"):
        profile_file(tmp_path / "x.parquet", None)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileUnreadable, match="it is a folder"):
        profile_file(tmp_path, None)
    with pytest.raises(DataFileUnreadable, match="no such file"):
        profile_file(tmp_path / "none.csv", None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", {"a": [1]})
    path.chmod(0)
    with pytest.raises(DataFileUnreadable, match="permission denied"):
        profile_file(path, None)


def test_a_target_that_does_not_exist_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        TargetMissing, match=r"no column 'Outcom'; its columns are 'reading', 'outcome'; did you mean 'outcome'\?$"
    ):
        profile_columns(tmp_path, "Outcom")


def test_a_file_without_names_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("5.1,3.5,0\n4.9,3.0,1\n")
    with pytest.raises(TargetMissing) as caught:
        profile_file(tmp_path / "x.csv", "y")
    assert "first line seems to hold data" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["yes"], "its only value is 'yes'"),
        ([7], "its only value is '7'"),
        ([""], "it has no value"),
        (["yes", "no", "", "", ""], "more than half"),
        (["2024-01-01", "2024-01-02"], "it is a date"),
        ([f"text {i}" for i in range(300)], "too many to be classes"),
    ],
)
def test_a_target_that_teaches_nothing_is_refused(tmp_path: Path, values: list[object], message: str) -> None:
    with pytest.raises(TargetUnusable, match=message):
        profile_columns(tmp_path, "y", y=cycle(values, 300))


def test_a_target_with_some_missing_values_is_used(tmp_path: Path) -> None:
    found = profile_columns(tmp_path, "y", y=cycle(["a", "b", "", "a"]))
    assert (found.column("y").missing, found.task) == (15, "binary")


def test_a_file_without_features_is_refused_and_says_what_each_column_is(tmp_path: Path) -> None:
    columns = {
        "id": range(60),
        "mail": [f"u{i}@example.com" for i in range(60)],
        "same": [1] * 60,
        "y": cycle(["a", "b"]),
    }
    with pytest.raises(NothingToLearnFrom) as caught:
        profile_file(write_csv(tmp_path / "x.csv", columns), "y")
    assert "'same' is left out: its only value is '1'; 'id' is the id; 'mail' is personal data" in str(caught.value)


def test_an_interruption_is_no_damaged_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", {"a": numbers(), "y": cycle(["n", "j"])})
    endless = "SELECT count(*) FROM range(100000000000) a, range(100000) b WHERE hash(a.range) % 7 = b.range % 11"
    with open_table(path) as table:
        ended = threading.Event()

        def interrupt() -> None:
            while not ended.wait(0.1):  # one that comes before the statement has begun is lost
                table.connection.interrupt()

        person = threading.Thread(target=interrupt)
        person.start()
        with pytest.raises(KeyboardInterrupt):
            table.rows(endless)
        ended.set()
        person.join()


def test_a_mistake_of_ours_is_no_damaged_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", {"a": numbers()})
    with open_table(path) as table, pytest.raises(duckdb.BinderException):
        table.rows("SELECT no_such_column FROM raw")


@settings(max_examples=60)
@given(raw=st.binary(max_size=300) | st.text(st.sampled_from('a1,;"\n\r\t é.-:'), max_size=80).map(str.encode))
def test_no_bytes_give_a_traceback(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(raw)
    try:
        found = profile_file(path, None)
    except DataError:
        return
    assert found.rows > 0


@pytest.mark.slow
@pytest.mark.matrix
def test_ten_thousand_columns_are_profiled_in_seconds(tmp_path: Path) -> None:
    columns = {f"column {i}": [(i * j) % 97 + 0.5 for j in range(60)] for i in range(1, 10_000)}
    path = write_csv(tmp_path / "wide.csv", {**columns, "y": cycle(["n", "j"])})
    start = time.perf_counter()
    assert len(profile_file(path, "y").columns) + len(profile_file(path, "y").left_out) == 10_000
    assert time.perf_counter() - start < 60  # two profiles of about two seconds each on an idle machine
