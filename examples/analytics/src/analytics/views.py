"""The files as tables to ask."""

import tempfile
from pathlib import Path

import duckdb

from analytics.parquet import connect
from analytics.rows import COLUMNS

_HERE = Path(__file__).parent


def open_views(directory: Path) -> duckdb.DuckDBPyConnection:
    """A database with the views of `views.sql` over the archive in the directory; empty ones where it has no files yet."""
    connection = connect(Path(tempfile.gettempdir()))
    files = "events/*/*.parquet"
    if any(directory.glob(files)):
        connection.execute("SET VARIABLE events = $files", {"files": str(directory / files)})
        connection.execute((_HERE / "deliveries.sql").read_text())
    else:
        _stand_in_for_files(connection)
    connection.execute((_HERE / "views.sql").read_text())
    return connection


def _stand_in_for_files(connection: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in {**COLUMNS, "day": "DATE"}.items())
    connection.execute(f"CREATE VIEW deliveries AS SELECT {columns} WHERE false")
