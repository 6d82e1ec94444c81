"""An archive filled without a broker."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from analytics.archive import Archive, Roll, open_archive
from analytics.rows import Delivery
from analytics.starting_point import Edge
from analytics.views import open_views


def roll_of(archive: Archive, deliveries: Iterable[Delivery]) -> Roll:
    roll = Roll()
    for delivery in deliveries:
        roll.add(delivery, archive.rows_of(delivery))
    return roll


def fill(directory: Path, rolls: Iterable[Sequence[Delivery]]) -> None:
    """One reading from the first message on, in these rolls."""
    with open_archive(directory) as archive:
        archive.begin_reading(Edge.FIRST)
        for deliveries in rolls:
            archive.commit(roll_of(archive, deliveries))


def select(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_views(directory) as views:
        return views.sql(sql).fetchall()
