"""The catalogue's table."""

from collections.abc import Sequence

from contracts.jobs import JobPolicy
from gateway.catalogue import CatalogueEntry, ModelKind
from gateway.store.database import Database
from service_kit.database import Connection

_ALL = "SELECT id, name, kind, parameters_schema, defaults, policy, retired FROM gateway.models ORDER BY id"

_UPSERT = """
INSERT INTO gateway.models AS model (id, name, kind, parameters_schema, defaults, policy, retired)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, policy = excluded.policy,
    parameters_schema = excluded.parameters_schema, defaults = excluded.defaults, retired = excluded.retired,
    updated_at = now()
WHERE (model.name, model.kind, model.parameters_schema, model.defaults, model.policy, model.retired)
    IS DISTINCT FROM (excluded.name, excluded.kind, excluded.parameters_schema, excluded.defaults, excluded.policy,
    excluded.retired)
"""

_RETIRE_OTHERS = """
UPDATE gateway.models SET retired = true, updated_at = now() WHERE NOT retired AND id <> ALL($1::text[]) RETURNING id
"""


class ModelReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[CatalogueEntry]:
        rows = await self._database.pool.fetch(_ALL)
        return [
            CatalogueEntry(
                row["id"],
                row["name"],
                ModelKind(row["kind"]),
                row["parameters_schema"],
                row["defaults"],
                JobPolicy.model_validate(row["policy"]),
                row["retired"],
            )
            for row in rows
        ]


async def replace_models(connection: Connection, entries: Sequence[CatalogueEntry]) -> list[str]:
    """Makes the table offer exactly these; what is no longer among them is retired, and its ids are answered."""
    await connection.executemany(
        _UPSERT,
        [
            (
                entry.id,
                entry.name,
                entry.kind.value,
                entry.parameters_schema,
                entry.defaults,
                entry.policy,
                entry.retired,
            )
            for entry in entries
        ],
    )
    rows = await connection.fetch(_RETIRE_OTHERS, [entry.id for entry in entries])
    return [row["id"] for row in rows]
