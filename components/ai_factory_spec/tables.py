"""How values in a table file are read: what stands for a missing value, for a truth value, between columns."""

from __future__ import annotations

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "<NA>", "#N/A", "NaT")
"""Words that files use for "no value". A category that lists such a word keeps it as a value; a text keeps all but the empty one."""

DELIMITERS = ",;\t|"
"""What may stand between the columns of a CSV file."""

PARQUET_SUFFIXES = (".parquet", ".pq")
"""File names that end so hold Parquet; any other holds CSV."""

TABLE_SUFFIXES = (*PARQUET_SUFFIXES, ".csv", ".tsv", ".txt")
"""How names of tables end. A file that is named alone may end otherwise, unless the ending says that it is something else."""
