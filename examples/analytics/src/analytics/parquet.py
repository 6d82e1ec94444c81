"""Rows as Parquet files, written by DuckDB itself: one dependency for writing and for asking."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from analytics.rows import COLUMNS

_SMALLEST_LINE_LIMIT = 16 * 1024 * 1024


def connect(temporary: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory that thinks in UTC, fetches no extension from anywhere, and spills into `temporary` if need be."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    if temporary is not None:
        connection.execute("SET temp_directory = $path", {"path": str(temporary)})
    return connection


def as_line(row: Mapping[str, object]) -> bytes:
    """The row as a line of JSON. A lone surrogate, which is no Unicode, becomes a question mark."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def write_parquet(lines: Sequence[bytes], target: Path) -> None:
    """Writes rows, in their order, as one file; returning means that it is on the disk. The directory must be there."""
    source = target.with_suffix(".ndjson")
    with source.open("wb") as file:
        file.writelines(lines)
    limit = max(_SMALLEST_LINE_LIMIT, *(2 * len(line) for line in lines))
    with connect(target.parent) as connection:
        # DuckDB's own threads would take the cores of whoever else works on this machine, for milliseconds gained.
        connection.execute("SET threads = 1")
        # COPY takes no parameters: the paths are our own, and quoted.
        how = f"format = 'newline_delimited', columns = {dict(COLUMNS)}, maximum_object_size = {limit}"
        rows = f"read_json({quoted(source)}, {how})"
        connection.execute(f"COPY (FROM {rows}) TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)")
    source.unlink()
    sync(target)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
