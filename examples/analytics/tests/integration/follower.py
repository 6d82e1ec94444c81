"""`follow` in this process, and what it has written."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from analytics.archive import open_archive
from analytics.follow import Follow
from analytics.starting_point import Edge, parse_starting_point
from analytics.views import open_views


class Follower:
    def __init__(self, url: str, directory: Path, start: str, roll_seconds: float) -> None:
        self.directory = directory
        self._url = url
        self._start = start
        self._roll_seconds = roll_seconds
        self._held = ExitStack()

    async def __aenter__(self) -> "Follower":
        archive = self._held.enter_context(open_archive(self.directory))
        if self._start != "resume":
            archive.begin_reading(parse_starting_point(self._start))
        elif not archive.has_begun:
            archive.begin_reading(Edge.FIRST)
        self._follow = Follow(
            self._url, archive, roll_seconds=self._roll_seconds, roll_bytes=1_000_000, patience_seconds=5
        )
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._follow.stop()
        try:
            await asyncio.wait_for(self._task, 10)
        finally:
            self._held.close()

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        with open_views(self.directory) as views:
            return views.sql(sql).fetchall()

    async def until(self, sql: str, expected: list[tuple[Any, ...]], *, within_seconds: float = 30) -> None:
        """Returns once the question has this answer."""
        give_up_at = time.monotonic() + within_seconds
        while (answer := await asyncio.to_thread(self.select, sql)) != expected:
            if self._task.done():
                self._task.result()
            assert time.monotonic() < give_up_at, f"not within {within_seconds} s; last: {answer}"
            await asyncio.sleep(0.05)
