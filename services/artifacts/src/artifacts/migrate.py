"""`python -m artifacts.migrate`: brings the schema `artifacts` up to date."""

from pathlib import Path

from service_kit.migrations import migrate_main

if __name__ == "__main__":
    migrate_main("artifacts", Path(__file__).with_name("migrations"))
