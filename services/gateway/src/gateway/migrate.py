"""`python -m gateway.migrate`: brings the gateway's schema up to date."""

from pathlib import Path

from service_kit.migrations import migrate_main

if __name__ == "__main__":
    migrate_main("gateway", Path(__file__).parent / "migrations")
