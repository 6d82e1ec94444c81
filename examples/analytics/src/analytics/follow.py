"""Follows the stream into the archive until it is told to stop."""

import asyncio
import math
import ssl
import time
from collections.abc import Iterator
from itertools import count

import structlog

from analytics.archive import Archive, Roll
from analytics.continuity import Mark, Verdict, continuity
from analytics.rows import Delivery
from analytics.starting_point import Edge, StartingPoint, parse_starting_point
from analytics.subscription import StreamUnavailableError, Subscription, first_offset, open_session
from service_kit.backoff import growing_pauses
from service_kit.bus_session import Session
from service_kit.errors import is_operational, only_our_cancellation

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_MARK_SECONDS = 10.0
"""The message at the mark was there before: it comes at once, unless the stream is another."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


class StreamReplacedError(StreamUnavailableError):
    """The stream is not the one that was read: it is read as another from here on."""


class Follow:
    """One way to begin, at start as after every loss of the connection: at the mark, which must still be what the files end with.

    Each message is in the files once per reading; an event may be in several messages, for those who publish it say it again when
    they do not know whether it was heard. So the files hold every event at least once, and the views count each once.
    """

    def __init__(
        self,
        url: str,
        archive: Archive,
        *,
        roll_seconds: float,
        roll_bytes: int,
        patience_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._tls = tls
        self._archive = archive
        self._roll_seconds = roll_seconds
        self._roll_bytes = roll_bytes
        self._patience_seconds = patience_seconds
        self._stopping = asyncio.Event()
        self._roll = Roll()
        self._roll_due_at = 0.0
        self._is_attached = False
        self._ever_attached = False

    def stop(self) -> None:
        """Writes what waits, then ends."""
        self._stopping.set()

    async def __call__(self) -> None:
        """Raises what keeps it from reading the stream for the first time, after the patience; later it tries without end."""
        give_up_at = time.monotonic() + self._patience_seconds
        pauses = _pauses()
        for number in count(1):
            self._is_attached = False
            try:
                with only_our_cancellation():
                    async with open_session(self._url, number, tls=self._tls) as session:
                        await self._read(session)
            except Exception as error:
                has_patience = self._ever_attached or time.monotonic() < give_up_at
                if not is_operational(error) or not has_patience:
                    raise
                log.warning("analytics.stream.lost", error=repr(error))
            finally:
                await self._commit()
            if self._stopping.is_set():
                return
            if self._is_attached:
                pauses = _pauses()
            await self._pause(next(pauses))

    async def _read(self, session: Session) -> None:
        """Until the session is lost, which raises, or it is told to stop."""
        subscription = Subscription(session)
        await self._begin_or_go_on(session, subscription)
        while not self._stopping.is_set():
            self._archive.beat()
            delivery = await subscription.next(_LOOK_SECONDS)
            if delivery is not None:
                self._take(delivery)
            if self._roll.last and (self._roll.size_bytes >= self._roll_bytes or time.monotonic() >= self._roll_due_at):
                await self._commit()

    # --- where to begin ---

    async def _begin_or_go_on(self, session: Session, subscription: Subscription) -> None:
        checkpoint = self._archive.checkpoint
        if checkpoint.mark is not None and not await self._goes_on(subscription, checkpoint.mark):
            self._archive.begin_reading(Edge.FIRST)
            raise StreamReplacedError
        if checkpoint.mark is None:
            await self._begin(session, subscription, parse_starting_point(checkpoint.start))

    async def _begin(self, session: Session, subscription: Subscription, start: StartingPoint) -> None:
        await self._attach(subscription, start)
        first = await self._first(subscription, within_seconds=math.inf)
        if first is None:
            return
        if start is not Edge.FIRST:
            self._archive.pin(first.offset)  # begun anew, `next` would be another place
        self._take(first)
        log.info("analytics.stream.attached", start=str(start), first_offset=first.offset)
        if gone := await _gone(session, start, first):
            log.warning("analytics.stream.truncated", start=str(start), first_offset=first.offset, missing=gone)

    async def _goes_on(self, subscription: Subscription, mark: Mark) -> bool:
        """False where the stream is not the one that was read."""
        await self._attach(subscription, mark.offset)
        first = await self._first(subscription, within_seconds=_MARK_SECONDS)
        if first is None and self._stopping.is_set():
            return True
        found = continuity(mark, first)
        if found.verdict is Verdict.REPLACED:
            log.error("analytics.stream.replaced", mark=mark.offset, action="it is read from its first message on")
            return False
        log.info("analytics.stream.attached", mark=mark.offset, verdict=found.verdict)
        if found.verdict is Verdict.TRUNCATED and first is not None:
            if found.missing:
                log.error(
                    "analytics.stream.truncated", mark=mark.offset, first_offset=first.offset, missing=found.missing
                )
            self._take(first)
        return True

    async def _attach(self, subscription: Subscription, start: StartingPoint) -> None:
        await subscription.attach(start)
        self._is_attached = self._ever_attached = True

    async def _first(self, subscription: Subscription, *, within_seconds: float) -> Delivery | None:
        """None if none came in time, or it is told to stop before."""
        until = time.monotonic() + within_seconds
        while not self._stopping.is_set() and time.monotonic() < until:
            self._archive.beat()
            if (delivery := await subscription.next(_LOOK_SECONDS)) is not None:
                return delivery
        return None

    # --- files ---

    def _take(self, delivery: Delivery) -> None:
        if self._roll.last is None:
            self._roll_due_at = time.monotonic() + self._roll_seconds
        self._roll.add(delivery, self._archive.rows_of(delivery))

    async def _commit(self) -> None:
        roll, self._roll = self._roll, Roll()
        if roll.last is not None:
            began = time.monotonic()
            await asyncio.to_thread(self._archive.commit, roll)
            log.info(
                "analytics.file.written",
                rows=roll.rows,
                not_understood=roll.not_understood,
                days=len(roll.lines),
                last_offset=roll.last.offset,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
            )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def _gone(session: Session, start: StartingPoint, first: Delivery) -> int:
    """How many messages between where it was to begin and the first one are no longer there. For a moment: at most so many."""
    match start:
        case Edge.FIRST:
            return first.offset
        case Edge():
            return 0
        case int():
            return first.offset - start
        case _:
            oldest = await first_offset(session)
            return first.offset if oldest is None or oldest >= first.offset else 0


def _pauses() -> Iterator[float]:
    return growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS)
