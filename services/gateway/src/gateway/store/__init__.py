"""The gateway's persistence: hand-written, set-based SQL on bare asyncpg, on the schema that `gateway.tables` describes."""
