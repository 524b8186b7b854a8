"""Tables on disk: CSV and Parquet files, read whole or a chunk at a time in a bounded amount of memory.

A chunk and a whole file give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pc
import pyarrow.parquet as pq
from ai_factory_spec.tables import MISSING_WORDS, PARQUET_SUFFIXES
from ai_factory_spec.usecase import Contract

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.csvfile import (
    NUMBERS,
    Header,
    csv_header,
    read_csv,
    reject_open_quote,
    reject_repeated,
    unreadable_csv,
    wrong_encoding,
)
from ai_factory_runtime.data.foreign import reject_foreign

CHUNK_ROWS = 16_384
CHUNK_BYTES = 16 * 1024 * 1024  # of CSV; also the longest row


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read in chunks. `names` are all its columns, as the contract writes them; `header` is CSV's."""

    path: Path
    names: tuple[str, ...]
    header: Header | None
    numeric: frozenset[str]

    def chunks(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows in order with these columns, all of which the file must have. Raises DataUnreadable part-way too."""
        try:
            batches = self._parquet(columns) if self.header is None else self._csv(self.header, columns)
            for batch in batches:
                if batch.num_rows:
                    yield batch.to_pandas(ignore_metadata=True, date_as_object=False)
        except UnicodeDecodeError:
            raise wrong_encoding(self.path) from None
        except (pa.ArrowException, OSError) as error:
            if self.header is not None and isinstance(error, pa.ArrowException):
                raise unreadable_csv(self.path, self.header, str(error)) from None
            problem = str(error).splitlines()[0]
            raise DataUnreadable(path=self.path, problem=f"it is damaged ({problem})") from error

    def _parquet(self, columns: Sequence[str]) -> Iterator[Any]:
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns), use_threads=False)

    def _csv(self, header: Header, columns: Sequence[str]) -> Iterator[Any]:
        written = [header.as_written(name) for name in columns]
        options = pc.ConvertOptions(
            column_types=dict.fromkeys(written, pa.string()), include_columns=written,
            null_values=list(MISSING_WORDS), strings_can_be_null=False,
        )  # fmt: skip
        with pc.open_csv(
            self.path,
            read_options=pc.ReadOptions(block_size=CHUNK_BYTES),
            parse_options=pc.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            convert_options=options,
        ) as reader:
            for batch in reader:
                arrays = [
                    _as_numbers(values) if name in self.numeric else values
                    for name, values in zip(columns, batch.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def read_raw(path: Path, contract: Contract) -> pd.DataFrame:
    """The contract's columns of a file, those that are there, with the values as the file has them. Raises DataUnreadable."""
    _reject(path)
    try:
        raw = _read_parquet(path, contract) if path.suffix.lower() in PARQUET_SUFFIXES else read_csv(path, contract)
    except OSError as error:
        raise DataUnreadable(path=path, problem=str(error).splitlines()[0]) from error
    if not len(raw.columns):
        expected = ", ".join(repr(c.name) for c in contract.columns[:5])
        raise DataUnreadable(path=path, problem=f"it has none of the contract's columns ({expected}, …)")
    return raw


def _read_parquet(path: Path, contract: Contract) -> pd.DataFrame:
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            reject_repeated(path, names, contract)
            wanted = [c.name for c in contract.columns if c.name in names]
            table = file.read(columns=wanted) if wanted else None
    except pa.ArrowException as error:
        raise DataUnreadable(
            path=path, problem=f"not a readable Parquet file ({str(error).splitlines()[0]})"
        ) from error
    if table is None:
        return pd.DataFrame()
    return cast("pd.DataFrame", table.to_pandas(ignore_metadata=True, date_as_object=False))


def open_table(path: Path, contract: Contract) -> Table:
    """Look at a file's columns. Raises DataUnreadable where there is no CSV or Parquet, or a column of the contract occurs twice."""
    _reject(path)
    numeric = frozenset(c.name for c in contract.columns if c.type in NUMBERS)
    try:
        if path.suffix.lower() not in PARQUET_SUFFIXES:
            found = csv_header(path, contract)
            reject_open_quote(path, found.delimiter)
            header: Header | None = found
            names = found.names
        else:
            with pq.ParquetFile(path) as file:
                header, names = None, tuple(cast("list[str]", file.schema_arrow.names))
    except (pa.ArrowException, OSError) as error:
        raise DataUnreadable(path=path, problem=str(error).splitlines()[0]) from error
    reject_repeated(path, names, contract)
    return Table(path, names, header, numeric)


def _reject(path: Path) -> None:
    """Raise DataUnreadable where there is no file, or one that is no CSV and no Parquet."""
    if path.is_dir():
        raise DataUnreadable(path=path, problem="it is a folder; one CSV or Parquet file is read here")
    if not path.is_file():
        raise DataUnreadable(path=path, problem="there is no such file")
    try:
        reject_foreign(path)
    except OSError as error:
        raise DataUnreadable(path=path, problem=str(error).splitlines()[0]) from error


def _as_numbers(texts: Any) -> Any:
    """The column as numbers where every value is one; as it is where not, so that each value can be named."""
    compute = pyarrow.compute
    absent = compute.is_in(texts, value_set=pa.array(MISSING_WORDS))
    try:
        return compute.cast(compute.if_else(absent, pa.scalar(None, pa.string()), texts), pa.float64())
    except pa.ArrowInvalid:
        return texts
