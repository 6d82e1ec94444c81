"""Keeps a session with the broker open: sets it up, watches it, and replaces it when something on it breaks."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from itertools import count

import structlog
from aio_pika.abc import AbstractChannel, AbstractQueue

from contracts.topology import Exchange, Queue, QueueKind
from service_kit.backoff import growing_pauses
from service_kit.bus_session import Session
from service_kit.consumer import PREFETCH, Consumer
from service_kit.declare import Declarations, NotDeclaredYetError, declare_queue
from service_kit.errors import BusUnavailableError, OperationalError, only_our_cancellation
from service_kit.loops import Loop

log = structlog.get_logger()

_SET_UP_TIMEOUT_SECONDS = 30.0
_MOMENT_SECONDS = 1.0
"""So long a publisher waits for a connection that broke: reconnecting takes a tenth of that, and no request need fail for it. In
an outage each would only stand in the way of the next."""
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
"""Between two attempts to connect. Everything waits for the bus: this is what an outage costs after it is over."""
_SETTLED_AFTER_SECONDS = 5.0
_INSPECTION_INTERVAL_SECONDS = 10.0
_INSPECTION_TIMEOUT_SECONDS = 30.0
"""Some fifty round trips. That a busy broker takes its time with them must not end connections and make it busier."""
_SILENCE_SECONDS = 4.0
"""A connection on which a single round trip takes longer is dead."""


class ConsumerLostError(OperationalError):
    """A queue that should have our consumer has none."""


class SessionKeeper:
    """There is one order in which a session begins: declare everything, then let publishers in, then consume.

    Nothing is published before every queue that should hear it is back: a broker that lost everything confirms what only some of
    its subscribers will hear.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        tls: ssl.SSLContext | None,
        declarations: Declarations,
        consumers: Mapping[Queue, Consumer],
    ) -> None:
        self._url = url
        self._service = service
        self._tls = tls
        self._declarations = declarations
        self._consumers = consumers
        self._intakes: list[tuple[Queue, Callable[[AbstractQueue], None]]] = []
        self._declared: dict[Queue, None] = {}
        self._numbers = count(1)
        self._session: Session | None = None
        self._is_open = asyncio.Event()
        self._is_refused = False
        self._is_consuming = True
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._inspection = Loop(
            "bus.inspection", self._inspect, interval_seconds=_INSPECTION_INTERVAL_SECONDS, rest_first=True
        )

    @property
    def session(self) -> Session | None:
        """The one that publishers may use, if there is one."""
        return None if self._session is None or self._session.lost.is_set() else self._session

    @property
    def whole_session(self) -> Session | None:
        """The one on which everything is consumed that should be, if there is one."""
        return None if self.session is None or self.session.set_up_at is None else self.session

    async def current(self) -> Session:
        """The session, if need be after a moment. Raises `BusUnavailableError`."""
        # Not to be suspended where there is one: publications that were made in order must stay so.
        if (session := self.session) is not None:
            return session
        try:
            async with asyncio.timeout(_MOMENT_SECONDS):
                while (session := self.session) is None:
                    self._is_open.clear()
                    await self._is_open.wait()
                return session
        except TimeoutError:
            raise BusUnavailableError("the broker cannot be reached") from None

    async def is_consuming(self) -> bool:
        """False where the broker can be reached, but does not let us consume."""
        if self.whole_session is None:
            return not self._is_refused
        return not self._is_consuming or all([await consumer.is_attached() for consumer in self._consumers.values()])

    # --- begin and end ---

    async def start(self) -> None:
        """Raises what keeps it from opening the first session."""
        await self._open()
        self._keeper = asyncio.create_task(self._keep_open(), name="bus.keeper")
        self._inspection.start()

    def stop_consuming(self) -> None:
        """Sessions to come consume nothing."""
        self._is_consuming = False

    async def stop(self) -> None:
        """Takes no more than a few seconds, whatever state the broker is in. Idempotent."""
        await self._inspection.stop()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._session is not None:
            self._close(self._session)
        if self._closing:
            await asyncio.wait(self._closing)

    # --- what to set up ---

    async def declare(self, queue: Queue) -> None:
        """Now, and in every session to come."""
        self._declared[queue] = None
        session = await self.current()
        async with session.question() as channel:
            await declare_queue(channel, queue)

    async def ensure_declared(self) -> None:
        """Everything that must be there before anybody speaks."""
        session = await self.current()
        async with session.question(within_seconds=_INSPECTION_TIMEOUT_SECONDS) as channel:
            await self._ensure_declared(channel)

    def add_intake(self, queue: Queue, opened: Callable[[AbstractQueue], None]) -> None:
        """Every session to come calls `opened` with the queue, on a channel of its own."""
        self._intakes.append((queue, opened))

    def look(self) -> None:
        """Something went wrong: inspects the session now."""
        self._inspection.wake()

    # --- one session after the other ---

    async def _open(self) -> None:
        try:
            session = await Session.open(self._url, service=self._service, number=next(self._numbers), tls=self._tls)
        except Exception:
            self._is_refused = False
            raise
        try:
            async with asyncio.timeout(_SET_UP_TIMEOUT_SECONDS):
                await self._set_up(session)
        except BaseException as error:
            self._is_refused = not isinstance(error, NotDeclaredYetError)
            self._close(session)
            raise
        self._is_refused = False

    async def _set_up(self, session: Session) -> None:
        publishing = await session.channel()
        await self._ensure_declared(publishing)
        consuming = [
            (consumer, await _declare_own(await session.channel(prefetch=PREFETCH), session, consumer))
            for consumer in (self._consumers.values() if self._is_consuming else ())
        ]
        intakes = [
            (opened, await declare_queue(await session.channel(), queue)) for queue, opened in tuple(self._intakes)
        ]
        session.exchanges = {
            exchange: await publishing.get_exchange(exchange.value, ensure=False) for exchange in Exchange
        }
        self._session = session
        self._is_open.set()
        for consumer, source in consuming:
            await consumer.attach(source)
        for opened, source in intakes:
            opened(source)
        session.set_up_at = time.monotonic()

    async def _keep_open(self) -> None:
        while True:
            assert self._session is not None
            began_at = time.monotonic()
            await self._session.lost.wait()
            lost_at = time.monotonic()
            self._close(self._session)
            pauses = growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS)
            # The first attempt comes at once, unless the last session did not last either.
            if lost_at - began_at <= _SETTLED_AFTER_SECONDS:
                await asyncio.sleep(next(pauses))
            while self.session is None:
                try:
                    with only_our_cancellation():
                        await self._open()
                except Exception as error:
                    log.warning("bus.session.not_opened", refused=self._is_refused, error=repr(error))
                    await asyncio.sleep(next(pauses))
            log.info("bus.session.opened", duration_ms=round((time.monotonic() - lost_at) * 1000))

    def _close(self, session: Session) -> None:
        """In the background: one that does not answer must not keep us from opening the next."""
        session.lost.set()
        self._is_open.clear()
        task = asyncio.create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _inspect(self) -> None:
        """Looks for what nobody tells. An exchange or a binding that is gone it puts back; for a queue that is gone, a consumer
        that the broker no longer knows or a connection that is dead without an end it gives the session up.

        It makes no queue. One that is deleted and made again in the same moment keeps its consumers, but RabbitMQ 3.10 sends
        them nothing any more, and tells nobody.
        """
        if (session := self.whole_session) is None or not self._is_consuming:
            return
        try:
            async with session.question(within_seconds=_SILENCE_SECONDS):
                pass
            async with session.question(within_seconds=_INSPECTION_TIMEOUT_SECONDS) as channel:
                await self._ensure_declared(channel, only_look=True)
                for consumer in self._consumers.values():
                    await _check_consumer(channel, session, consumer)
        except Exception as error:
            if self._is_consuming and not await session.is_blocked():
                session.give_up(f"inspection: {error!r}")

    async def _ensure_declared(self, channel: AbstractChannel, *, only_look: bool = False) -> None:
        await self._declarations.ensure(channel, only_look=only_look)
        for queue in tuple(self._declared):
            await declare_queue(channel, queue, passive=only_look)


async def _check_consumer(channel: AbstractChannel, session: Session, consumer: Consumer) -> None:
    declared = await _declare_own(channel, session, consumer, passive=True)
    if not declared.declaration_result.consumer_count or not await consumer.is_attached():
        raise ConsumerLostError(consumer.queue.name)


async def _declare_own(
    channel: AbstractChannel, session: Session, consumer: Consumer, *, passive: bool = False
) -> AbstractQueue:
    """A queue that is only ours has another name in every session: the broker may not yet know that the last connection is dead,
    and would keep its exclusive queue from us."""
    queue = consumer.queue
    name = f"{queue.name}.{session.number}" if queue.kind is QueueKind.EXCLUSIVE else queue.name
    return await declare_queue(channel, queue, name=name, passive=passive)
