"""Every user of the bus tries everything on a real RabbitMQ, and may do exactly what is written here by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelAccessRefused

from contracts import topology
from contracts.ids import ModelId, WorkerId
from contracts.permissions import BusUser
from contracts.topology import ORCHESTRATOR_KEEPSAKE, DeadLetterQueue, Queue
from devstack.addresses import RabbitAddress
from devstack.broker_users import broker_url, prepare_broker
from devstack.isolation import create_vhost, drop_vhost
from service_kit.declare import declare_queue

Names = frozenset[str]
Attempt = Callable[[AbstractChannel], Awaitable[object]]

EVENTS = frozenset(
    f"job.{what}"
    for what in (
        "queued", "started", "stage_changed", "retry_scheduled", "cancelling", "succeeded", "failed", "cancelled"
    )
)  # fmt: skip
REQUESTS = frozenset({"job.requested", "job.cancel_requested"})
REPORTS = frozenset(f"attempt.{what}" for what in ("started", "stage_changed", "succeeded", "failed"))
TASK, ABORT, HEARTBEAT, PROGRESS = "attempt.run.m-1.5", "attempt.abort.w-1", "worker.heartbeat", "attempt.progressed"
WILDCARDS = frozenset({"#", "*", "job.#", "job.*", "attempt.#", "attempt.run.#", "attempt.abort.*", "*.*"})

MODEL_QUEUES = (
    topology.worker_tasks(ModelId("m-1.5")),
    topology.worker_control(WorkerId("w-1")),
    topology.gateway_telemetry("g-1"),
)
QUEUES: tuple[Queue, ...] = (*topology.SHARED_QUEUES, *MODEL_QUEUES)
DEAD = {DeadLetterQueue(queue).name for queue in QUEUES if queue.keeps_dead_letters}
QUEUE_NAMES = frozenset({queue.name for queue in QUEUES} | DEAD | {ORCHESTRATOR_KEEPSAKE.name})
EXCHANGES = frozenset({"jobs", "gpu", "dead-letters"})
FOREIGN_EXCHANGES = frozenset({"amq.topic", "amq.direct", "amq.fanout", "amq.rabbitmq.log", "of-my-own"})
KEYS = EVENTS | REQUESTS | REPORTS | {TASK, ABORT, HEARTBEAT, PROGRESS, "of.my.own"} | QUEUE_NAMES


@dataclass(frozen=True)
class May:
    make: Names = frozenset()
    """Queues and exchanges; to delete as well."""
    read: Names = frozenset()
    publish: frozenset[tuple[str, str]] = frozenset()
    listen: frozenset[tuple[str, str]] = frozenset()
    """Exchange and key by which it may bind its own queues."""
    bindable: Names = field(default_factory=frozenset)


def dead(*names: str) -> Names:
    return frozenset(f"{name}.dead-letters" for name in names)


def on(exchange: str, *keys: str | Iterable[str]) -> frozenset[tuple[str, str]]:
    flat = {key for some in keys for key in ((some,) if isinstance(some, str) else some)}
    return frozenset((exchange, key) for key in flat)


GATEWAYS = frozenset({"gateway.projection", "gateway.telemetry.g-1"})
ORCHESTRATORS = frozenset(
    {"orchestrator.requests", "orchestrator.reports", "orchestrator.worker-heartbeats", "orchestrator.keepsake"}
)
ORCHESTRATORS_DEAD = dead("orchestrator.requests", "orchestrator.reports")
WORKERS = frozenset({"gpu-worker.tasks.m-1.5", "gpu-worker.control.w-1"})
WORKERS_BURIALS = on(
    "dead-letters", "gpu-worker.tasks.m-1.5", "gpu-worker.tasks.m-1.5.dead-letters"
)  # for all RabbitMQ knows, a model may be called so
ARTIFACTS = frozenset({"artifacts.inputs", "artifacts.outcomes"})

MAY: dict[BusUser, May] = {
    BusUser.GATEWAY: May(
        make=GATEWAYS | dead("gateway.projection"),
        bindable=GATEWAYS | dead("gateway.projection"),
        read=GATEWAYS,
        publish=on("jobs", REQUESTS) | on("dead-letters", "gateway.projection"),
        listen=on("jobs", EVENTS) | on("gpu", PROGRESS, HEARTBEAT) | on("dead-letters", "gateway.projection"),
    ),
    BusUser.ORCHESTRATOR: May(
        make=EXCHANGES | ORCHESTRATORS | ORCHESTRATORS_DEAD | {"analytics.events"},
        bindable=ORCHESTRATORS | ORCHESTRATORS_DEAD | {"analytics.events"},
        read=ORCHESTRATORS,
        publish=on("jobs", EVENTS, "orchestrator.keepsake")
        | on("gpu", TASK, ABORT)
        | on("dead-letters", "orchestrator.requests", "orchestrator.reports"),
        listen=on("jobs", REQUESTS, EVENTS, "orchestrator.keepsake")
        | on("gpu", REPORTS, HEARTBEAT)
        | on("dead-letters", "orchestrator.requests", "orchestrator.reports"),
    ),
    BusUser.GPU_WORKER: May(
        make=WORKERS | dead("gpu-worker.tasks.m-1.5"),
        bindable=WORKERS | dead("gpu-worker.tasks.m-1.5"),
        read=WORKERS,
        publish=on("gpu", REPORTS, PROGRESS, HEARTBEAT) | WORKERS_BURIALS,
        listen=on("gpu", TASK, ABORT) | WORKERS_BURIALS,
    ),
    BusUser.ARTIFACTS: May(
        make=ARTIFACTS | dead(*ARTIFACTS),
        bindable=ARTIFACTS | dead(*ARTIFACTS),
        read=ARTIFACTS,
        publish=on("dead-letters", ARTIFACTS),
        listen=on("jobs", "job.queued", "job.succeeded", "job.failed", "job.cancelled") | on("dead-letters", ARTIFACTS),
    ),
    BusUser.ANALYTICS: May(read=frozenset({"analytics.events"})),
    BusUser.OPERATOR: May(read=frozenset(DEAD), publish=on("", KEYS)),
}

each_user = pytest.mark.parametrize("user", BusUser)


class Trial:
    """One user's connection, on which things are tried that may be refused, each refusal being the end of a channel."""

    def __init__(self, broker: RabbitAddress, connection: AbstractConnection, admin: AbstractConnection) -> None:
        self._broker = broker
        self._connection = connection
        self._admin = admin
        self._channel: AbstractChannel | None = None

    async def may(self, attempt: Attempt) -> bool:
        """Whether RabbitMQ lets the user do it, whatever else becomes of it."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel()
            await self._channel.set_qos(prefetch_count=1)  # a stream is not consumed without
        try:
            await attempt(self._channel)
        except ChannelAccessRefused:
            return False
        except AMQPError:
            return True  # it failed for another reason, such as a difference in arguments
        return True

    async def restore(self) -> None:
        """Puts back what an attempt that was allowed has changed."""
        await prepare_broker(self._broker)
        async with self._admin.channel() as channel:
            for queue in MODEL_QUEUES:
                await _make_for_everybody(channel, queue)


async def _make_for_everybody(channel: AbstractChannel, queue: Queue) -> None:
    """An exclusive queue, which none but its maker could try anything with, is made as one that is not."""
    if queue.kind is topology.QueueKind.EXCLUSIVE:
        await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    else:
        await declare_queue(channel, queue)


@pytest.fixture(scope="module")
async def defined(rabbitmq_address: RabbitAddress) -> AsyncIterator[RabbitAddress]:
    """A virtual host with the definitions that RabbitMQ loads at its start, and a queue of each kind that is made later."""
    own = await create_vhost(rabbitmq_address)
    await prepare_broker(own)
    yield own
    await drop_vhost(own)


@pytest.fixture
async def trial(defined: RabbitAddress, user: BusUser) -> AsyncIterator[Trial]:
    async with (
        await aio_pika.connect(broker_url(defined, user)) as connection,
        await aio_pika.connect(defined.url) as admin,
    ):
        trial = Trial(defined, connection, admin)
        await trial.restore()
        yield trial


@each_user
async def test_publishing(user: BusUser, trial: Trial) -> None:
    places = [(exchange, key) for exchange in ("jobs", "gpu", "dead-letters") for key in sorted(KEYS | WILDCARDS)]
    places += [("", key) for key in sorted(KEYS)]
    places += [(exchange, "job.requested") for exchange in sorted(FOREIGN_EXCHANGES - {"of-my-own"})]

    async def published(channel: AbstractChannel, exchange: str, key: str) -> None:
        to = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await to.publish(aio_pika.Message(b"[]"), key, mandatory=False, timeout=5)

    allowed = {place for place in places if await trial.may(lambda channel, at=place: published(channel, *at))}
    assert allowed == MAY[user].publish


async def ignored(_message: object) -> None:
    return None


@each_user
async def test_reading(user: BusUser, trial: Trial) -> None:
    async def consumed(channel: AbstractChannel, name: str) -> None:
        queue = await channel.get_queue(name, ensure=False)
        await queue.cancel(await queue.consume(ignored))

    async def purged(channel: AbstractChannel, name: str) -> None:
        await (await channel.get_queue(name, ensure=False)).purge()

    assert {name for name in QUEUE_NAMES if await trial.may(lambda c, n=name: consumed(c, n))} == MAY[user].read
    purgeable = QUEUE_NAMES - {"analytics.events"}  # of a stream nothing can be purged, by nobody
    assert {name for name in purgeable if await trial.may(lambda c, n=name: purged(c, n))} == MAY[user].read & purgeable


@each_user
async def test_binding(user: BusUser, trial: Trial) -> None:
    may = MAY[user]

    async def bound(channel: AbstractChannel, name: str, exchange: str, key: str) -> None:
        await (await channel.get_queue(name, ensure=False)).bind(exchange, key)

    # Every key by which somebody may listen anywhere, with the user's own queue; every queue by a key the user may listen by.
    own = min(may.bindable, default="gateway.projection")
    places = [(exchange, key) for exchange in EXCHANGES for key in KEYS | WILDCARDS]
    places += [(exchange, "job.queued") for exchange in FOREIGN_EXCHANGES]
    assert {place for place in places if await trial.may(lambda c, at=place: bound(c, own, *at))} == may.listen
    exchange, key = min(may.listen, default=("jobs", "job.queued"))
    assert {
        name for name in QUEUE_NAMES if await trial.may(lambda c, n=name: bound(c, n, exchange, key))
    } == may.bindable
    await trial.restore()


@each_user
async def test_making_and_deleting(user: BusUser, trial: Trial) -> None:
    async def made_exchange(channel: AbstractChannel, name: str) -> None:
        await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)

    async def made_queue(channel: AbstractChannel, name: str) -> None:
        await channel.declare_queue(name, durable=True)  # other arguments than it has: one who may is told so

    async def deleted_exchange(channel: AbstractChannel, name: str) -> None:
        await channel.exchange_delete(name)

    async def deleted_queue(channel: AbstractChannel, name: str) -> None:
        await channel.queue_delete(name)

    exchanges, queues = EXCHANGES | FOREIGN_EXCHANGES, QUEUE_NAMES | {"of-my-own"}
    for names, attempt in (
        (queues, made_queue),
        (exchanges, made_exchange),
        (queues, deleted_queue),
        (exchanges, deleted_exchange),
    ):
        allowed = {name for name in names if await trial.may(lambda c, n=name, do=attempt: do(c, n))}
        assert allowed == MAY[user].make & names, attempt.__name__
    await trial.restore()


async def test_a_user_with_a_wrong_password_is_not_let_in(defined: RabbitAddress) -> None:
    url = broker_url(defined, BusUser.GATEWAY)
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(url.replace("p3d-gateway:", "p3d-orchestrator:"))
