"""Asks a question that is kept as a file of SQL."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from analytics.views import open_views

_QUERIES = Path(__file__).parent / "queries"


class UnknownQueryError(Exception):
    """There is no query of that name."""


def query_names() -> dict[str, str]:
    """Every query by its name, with the first line of what it says about itself."""
    return {
        path.stem: path.read_text().split("\n", 1)[0].removeprefix("-- ") for path in sorted(_QUERIES.glob("*.sql"))
    }


def ask(directory: Path, name: str, parameters: Mapping[str, str]) -> duckdb.DuckDBPyRelation:
    """The answer over the archive in the directory. Raises `UnknownQueryError`, and `duckdb.Error` for a parameter that is
    missing or too many."""
    if name not in query_names():
        raise UnknownQueryError(f"there is no query {name!r}; there are: {', '.join(query_names())}")
    return open_views(directory).sql((_QUERIES / f"{name}.sql").read_text(), params=dict(parameters) or None)
