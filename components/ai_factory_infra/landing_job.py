"""What runs as the Glue job of BatchIngestion: new files of a landing folder -> Parquet parts that training reads as one table.

    landing_job.py --lake BUCKET --landing PREFIX --curated PREFIX --refused PREFIX

CSV (`.csv`) and JSON lines (`.jsonl`), each also with `.gz`, become one Parquet part each, every value as the text it was: the
data contract judges values, not this job. All parts have the columns of the first, kept in `_columns.json` beside them. A file
with other columns, or one that cannot be read, is refused with its reason and fails the run once; so does a run in which
nothing but refusals happened. Single lines that are no JSON object of those columns are set aside, the others go on.
A file is known by its name and content: a run that is repeated, or was interrupted, does only what is left. Memory does not
grow with a file. Python 3.9, as Glue's Python shell has it, with its pyarrow and boto3.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

CHUNK_ROWS = 50_000
CHUNK_BYTES = 4 * 1024 * 1024
COLUMNS = "_columns.json"
READABLE = re.compile(r".+\.(csv|jsonl)(\.gz)?$", re.IGNORECASE)


class Refused(Exception):  # noqa: N818 - a reason to set a file aside
    """Why a file becomes no part."""


@dataclass
class Lake:
    """One bucket, and the three folders the job knows in it."""

    bucket: str
    landing: str
    curated: str
    refused: str
    s3: Any = field(default_factory=lambda: boto3.client("s3"))

    def names(self, folder: str) -> dict[str, str]:
        """Every object under a folder: key -> what tells its content."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{folder}/")
        return {o["Key"]: o["ETag"].strip('"') for page in pages for o in page.get("Contents", ())}

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def columns(self) -> list[str] | None:
        """The columns of every part; None before there is one."""
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=f"{self.curated}/{COLUMNS}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return list(json.loads(body))


@dataclass
class Done:
    """What one run did: parts written, rows in them, lines set aside, and files refused with the reason."""

    parts: int = 0
    rows: int = 0
    lines_refused: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def run(lake: Lake) -> Done:
    """Take every file that is not known yet, in the order of their names."""
    done, columns = Done(), lake.columns()
    known = {Path(k).name for folder in (lake.curated, lake.refused) for k in lake.names(folder)}
    for key, etag in sorted(lake.names(lake.landing).items()):
        part = f"{re.sub(r'[^A-Za-z0-9._=-]+', '-', key[len(lake.landing) + 1 :])}-{etag[:12]}"
        if not READABLE.match(key) or f"{part}.parquet" in known or f"{part}.json" in known:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                columns = take(lake, key, part, columns, Path(folder), done)
            except Refused as reason:
                done.refused[key] = str(reason)
                lake.put(f"{lake.refused}/{part}.json", json.dumps({"file": key, "because": str(reason)}))
    return done


def take(lake: Lake, key: str, part: str, columns: list[str] | None, folder: Path, done: Done) -> list[str]:
    """One file becomes one part; returns the columns that every part has. Raises Refused."""
    source, target = folder / Path(key).name, folder / "part.parquet"
    lake.s3.download_file(lake.bucket, key, str(source))
    plain = unpacked(source)
    aside: list[str] = []
    found = header(plain)
    if columns is None:
        columns = found
    elif plain.suffix.lower() == ".csv" and sorted(found) != sorted(columns):
        raise Refused(f"its columns are {found}; those of the parts before are {columns}")
    read = of_csv if plain.suffix.lower() == ".csv" else of_lines
    schema = pa.schema([(c, pa.string()) for c in columns])
    with pq.ParquetWriter(str(target), schema, compression="zstd") as writer:
        rows = 0
        for table in read(plain, columns, aside):
            writer.write_table(table.select(columns))
            rows += table.num_rows
    if not rows:
        raise Refused("it has no row" if not aside else f"none of its {len(aside)} lines is an object of those columns")
    if lake.columns() is None:
        lake.put(f"{lake.curated}/{COLUMNS}", json.dumps(columns))
    if aside:
        lake.put(f"{lake.refused}/{part}.jsonl", "".join(aside))
    lake.s3.upload_file(str(target), lake.bucket, f"{lake.curated}/{part}.parquet")  # last: with it the file is known
    done.parts, done.rows, done.lines_refused = done.parts + 1, done.rows + rows, done.lines_refused + len(aside)
    return columns


def unpacked(source: Path) -> Path:
    """The file without its compression. Raises Refused."""
    if source.suffix.lower() != ".gz":
        return source
    plain = source.with_suffix("")
    try:
        with gzip.open(source) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out, CHUNK_BYTES)
    except (OSError, EOFError) as error:
        raise Refused(f"it cannot be unpacked: {error}") from error
    return plain


def header(plain: Path) -> list[str]:
    """The columns of a file: its first line, or the keys of its first object. Raises Refused."""
    if plain.suffix.lower() == ".csv":
        try:
            names = list(pc.open_csv(str(plain), parse_options=_csv()).schema.names)
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise Refused(f"it is no CSV: {error}") from error
    else:
        with plain.open("rb") as file:
            names = next((list(row) for row in map(_row, file) if row), [])
    if not names or len(set(names)) != len(names) or not all(n.strip() for n in names):
        raise Refused(f"it has no header of distinct names: {names}")
    return names


def _csv() -> Any:
    return pc.ParseOptions(newlines_in_values=True)


def of_csv(plain: Path, columns: Sequence[str], _aside: list[str]) -> Iterator[Any]:
    """The rows of a CSV file, a block at a time, as text; an empty cell stays one. Raises Refused."""
    as_text = pc.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False)
    block = pc.ReadOptions(block_size=CHUNK_BYTES)
    try:
        for batch in pc.open_csv(str(plain), read_options=block, parse_options=_csv(), convert_options=as_text):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise Refused(f"it is damaged: {error}") from error


def of_lines(plain: Path, columns: Sequence[str], aside: list[str]) -> Iterator[Any]:
    """The objects of a file of JSON lines; a line that is none, or brings another column, is put aside as it is."""
    names, rows = set(columns), []
    with plain.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            row = _row(line)
            if row is None or set(row) - names:
                aside.append(json.dumps({"line": line.decode(errors="replace").rstrip("\n")}) + "\n")
                continue
            rows.append(row)
            if len(rows) == CHUNK_ROWS:
                yield _table(rows, columns)
                rows = []
    if rows:
        yield _table(rows, columns)


def _table(rows: Sequence[dict[str, str | None]], columns: Sequence[str]) -> Any:
    return pa.table({c: pa.array([r.get(c) for r in rows], pa.string()) for c in columns})


def _row(line: bytes) -> dict[str, str | None] | None:
    """One line as column to text, numbers as they are written; None where it is no flat object."""
    try:
        row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or any(isinstance(v, (dict, list)) for v in row.values()):
        return None
    texts = {k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()}
    try:
        _ = "".join(v for v in (*texts, *texts.values()) if v is not None).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no file can hold
        return None
    return texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Run once. Ends with an error when a file was refused, after all others were taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("lake", "landing", "curated", "refused"):
        parser.add_argument(f"--{name}", required=True)
    asked, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    done = run(Lake(asked.lake, asked.landing, asked.curated, asked.refused))
    said = f"{done.parts} parts with {done.rows} rows written, {done.lines_refused} lines set aside"
    print(said, flush=True)  # noqa: T201 - a job's log is what it prints
    if done.refused:
        lines = "\n".join(f"{key}: {why}" for key, why in done.refused.items())
        raise SystemExit(f"{len(done.refused)} files refused; they stay where they landed:\n{lines}")


if __name__ == "__main__":
    main()
