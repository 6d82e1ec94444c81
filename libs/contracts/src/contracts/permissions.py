"""Who may do what on the bus: for each user, the least that the topology asks of it. Pure; nothing here is written by hand.

RabbitMQ's permissions are regular expressions on the names of queues and exchanges, its topic permissions on routing keys:
https://www.rabbitmq.com/docs/access-control. To declare or delete asks for *configure*; to publish to an exchange or to bind a
queue for *write* on it; to consume, get or purge a queue, or to bind something to an exchange, for *read* on it. Asking whether
something is there, and how many messages wait in it, asks for nothing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from contracts import topology
from contracts.message import Message
from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind

DEFAULT_EXCHANGE = "amq.default"
"""As permissions call it: what is published to it reaches the queue that its routing key names."""

_PARAMETER = re.compile(r"\\\{\w+\\\}")
"""In a name of the topology, escaped."""
_ANY_WORDS = "[^*#]+"
"""What stands for a parameter. No wildcard of a topic exchange: a binding key is compared letter by letter."""
_DEAD_LETTERS = r"\.dead-letters"
_NOTHING = "^$"


class BusUser(StrEnum):
    """One per service, and two for people. The members are the services' names."""

    GATEWAY = "gateway"
    ORCHESTRATOR = "orchestrator"
    GPU_WORKER = "gpu-worker"
    ARTIFACTS = "artifacts"
    ANALYTICS = "analytics"
    """Reads the stream of events."""
    OPERATOR = "operator"
    """Looks into dead letters and sends them back, and sees how the broker is."""

    @property
    def username(self) -> str:
        return username_of(self)

    @property
    def tags(self) -> tuple[str, ...]:
        """For the management interface, where it is enabled: nobody but the operator may look."""
        return ("monitoring",) if self is BusUser.OPERATOR else ()


def username_of(service: str) -> str:
    return f"p3d-{service}"


SERVICES = (BusUser.GATEWAY, BusUser.ORCHESTRATOR, BusUser.GPU_WORKER, BusUser.ARTIFACTS)


@dataclass(frozen=True, slots=True)
class Grants:
    """What one user may do, in names and keys of the topology; parameters stand in braces."""

    user: BusUser
    declares: tuple[str, ...] = ()
    """Queues and exchanges, to delete as well: RabbitMQ knows no difference."""
    consumes: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    """Queues it may bind."""
    publishes: tuple[tuple[Exchange, str], ...] = ()
    """Exchange and routing key."""
    binds: tuple[tuple[Exchange, str], ...] = ()
    """Exchange and binding key, for queues it may bind."""
    publishes_to_any_queue: bool = False
    reads_dead_letters: bool = False

    @property
    def configure(self) -> str:
        return _names(self.declares)

    @property
    def write(self) -> str:
        exchanges = dict.fromkeys(exchange.value for exchange, _ in self.publishes)
        default = (DEFAULT_EXCHANGE,) if self.publishes_to_any_queue else ()
        return _names((*self.fills, *exchanges, *default))

    @property
    def read(self) -> str:
        if self.reads_dead_letters:
            return rf"^.+{_DEAD_LETTERS}$"
        exchanges = dict.fromkeys(exchange.value for exchange, _ in self.binds)
        names = _names((*self.consumes, *exchanges))
        if _ANY_WORDS not in names:
            return names
        # Dead letters are for people, and any words would take in their queues' names.
        return rf"^(?!.*{_DEAD_LETTERS}$){names.removeprefix('^')}"

    def topic_write(self, exchange: Exchange) -> str:
        return _names(key for on, key in self.publishes if on is exchange)

    def topic_read(self, exchange: Exchange) -> str:
        """What it may bind queues to the exchange with."""
        return _names(key for on, key in self.binds if on is exchange)


def grants_of(user: BusUser) -> Grants:
    """What the topology asks of the user."""
    match user:
        case BusUser.OPERATOR:
            return Grants(user, reads_dead_letters=True, publishes_to_any_queue=True)
        case BusUser.ANALYTICS:
            streams = (queue.name for queue in topology.QUEUES if queue.kind is QueueKind.STREAM)
            return Grants(user, consumes=tuple(streams))
        case _:
            return _grants_of_service(user)


def _grants_of_service(user: BusUser) -> Grants:
    own = [queue for queue in topology.QUEUES if queue.owner == user]
    buried = [queue for queue in own if queue.keeps_dead_letters]
    dead = [DeadLetterQueue(queue).name for queue in buried]
    keepsakes = [kept for kept in (topology.ORCHESTRATOR_KEEPSAKE,) if kept.owner == user]
    kept = [keepsake.name for keepsake in keepsakes]
    names = [queue.name for queue in own]
    burials = [(Exchange.DEAD_LETTERS, queue.name) for queue in buried]
    keeping = [(keepsake.exchange, keepsake.name) for keepsake in keepsakes]
    exchanges = tuple(exchange.value for exchange in Exchange) if user == topology.EXCHANGES_OWNER else ()
    return Grants(
        user,
        declares=(*exchanges, *names, *dead, *kept),
        consumes=(*(queue.name for queue in own if queue.kind is not QueueKind.STREAM), *kept),
        fills=(*names, *dead, *kept),
        publishes=(*_said_by(user), *burials, *keeping),
        binds=(*((queue.exchange, key) for queue in own for key in queue.binding_keys), *burials, *keeping),
    )


def _said_by(user: BusUser) -> Iterator[tuple[Exchange, str]]:
    for message, exchange in topology.PUBLISHED_ON.items():
        if topology.PUBLISHED_BY[message] == user:
            yield from ((exchange, key) for key in dict.fromkeys(_keys_of(message)))


def _keys_of(message: type[Message]) -> Iterator[str]:
    """The routing keys under which a message is published: where it is for somebody in particular, the key says for whom."""
    for queue in topology.QUEUES:
        if message in queue.hears:
            yield from queue.keys or (message.routing_key,)


def must_be_there_for(service: str) -> tuple[Queue, ...]:
    """The queues of others, by fixed names, that hear what the service says: it must not speak before they are there."""
    return tuple(
        queue
        for queue in topology.SHARED_QUEUES
        if queue.owner != service and any(topology.PUBLISHED_BY[message] == service for message in queue.hears)
    )


def _names(names: Iterable[str]) -> str:
    """A regular expression that matches these and nothing else."""
    # re.escape also escapes the minus, which means nothing outside a character class.
    patterns = [_PARAMETER.sub(_ANY_WORDS, re.escape(name)).replace(r"\-", "-") for name in dict.fromkeys(names)]
    return f"^({'|'.join(patterns)})$" if patterns else _NOTHING
