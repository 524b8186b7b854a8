"""Tables on disk, read a chunk at a time: CSV and Parquet files of any size in a bounded amount of memory.

The values are as `frames.read_table` sees them, so a chunk and a whole file give the same rows.
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
from ai_factory_spec.tables import MISSING_WORDS
from ai_factory_spec.usecase import Contract

from ai_factory_runtime.errors import DataUnreadable
from ai_factory_runtime.frames import csv_header, reject_open_quote, reject_repeated, wrong_encoding
from ai_factory_runtime.screening import NUMBERS

CHUNK_ROWS = 65_536
CHUNK_BYTES = 16 * 1024 * 1024  # of CSV; also the longest row
PARQUET_NAMES = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read in chunks. `names` are all its columns; `delimiter` is empty for Parquet."""

    path: Path
    names: tuple[str, ...]
    delimiter: str
    numeric: frozenset[str]

    def chunks(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows in order with these columns, all of which the file must have. Raises DataUnreadable part-way too."""
        try:
            batches = self._csv(columns) if self.delimiter else self._parquet(columns)
            for batch in batches:
                if batch.num_rows:
                    yield batch.to_pandas(ignore_metadata=True, date_as_object=False)
        except UnicodeDecodeError:
            raise wrong_encoding(self.path) from None
        except (pa.ArrowException, OSError) as error:
            problem = str(error).splitlines()[0]
            if "invalid UTF8" in problem:
                raise wrong_encoding(self.path) from None
            raise DataUnreadable(path=self.path, problem=f"it is damaged ({problem})") from error

    def _parquet(self, columns: Sequence[str]) -> Iterator[Any]:
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns), use_threads=False)

    def _csv(self, columns: Sequence[str]) -> Iterator[Any]:
        options = pc.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns),
            null_values=list(MISSING_WORDS), strings_can_be_null=False,
        )  # fmt: skip
        with pc.open_csv(
            self.path,
            read_options=pc.ReadOptions(block_size=CHUNK_BYTES),
            parse_options=pc.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=options,
        ) as reader:
            for batch in reader:
                arrays = [_as_numbers(batch.column(n)) if n in self.numeric else batch.column(n) for n in columns]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def open_table(path: Path, contract: Contract) -> Table:
    """Look at a file's columns. Raises DataUnreadable where there is no table, or a column of the contract occurs twice."""
    if not path.is_file():
        raise DataUnreadable(path=path, problem="there is no such file")
    numeric = frozenset(c.name for c in contract.columns if c.type in NUMBERS)
    try:
        if path.suffix.lower() not in PARQUET_NAMES:
            names, delimiter = csv_header(path, contract)
            reject_open_quote(path, delimiter)
        else:
            with pq.ParquetFile(path) as file:
                names, delimiter = cast("list[str]", file.schema_arrow.names), ""
    except (pa.ArrowException, OSError) as error:
        raise DataUnreadable(path=path, problem=str(error).splitlines()[0]) from error
    reject_repeated(path, names, contract)
    return Table(path, tuple(names), delimiter, numeric)


def _as_numbers(texts: Any) -> Any:
    """The column as numbers where every value is one; as it is where not, so that each value can be named."""
    compute = pyarrow.compute
    absent = compute.is_in(texts, value_set=pa.array(MISSING_WORDS))
    try:
        return compute.cast(compute.if_else(absent, pa.scalar(None, pa.string()), texts), pa.float64())
    except pa.ArrowInvalid:
        return texts
