"""A message from a model's task queue, not yet acknowledged."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from aio_pika.abc import AbstractIncomingMessage

from contracts.attempts import RunAttempt
from contracts.cloudevents import (
    CloudEvent,
    RejectedEvents,
    UndecodableMessageError,
    check_content_type,
    codec,
    split,
    unexpected_type,
)
from contracts.ids import ModelId
from contracts.topology import worker_tasks
from service_kit.find_handler import check_routing
from service_kit.metrics import deliveries

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Usually one attempt. Several in one message are claimed, or given back, together."""

    events: Sequence[CloudEvent[RunAttempt]]
    message: AbstractIncomingMessage
    settle: Callable[[], Awaitable[None]]
    """Acknowledges it, once what else was in the message lies among the dead letters."""
    arrived_at: float = field(default_factory=time.monotonic)

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.arrived_at

    async def acknowledge(self) -> None:
        """If the connection is gone the broker delivers again, to anybody: copies must be known as such."""
        try:
            await self.settle()
        except Exception as error:
            log.warning("gpu_worker.delivery.not_acknowledged", error=repr(error))

    async def hand_back(self) -> None:
        """To the queue, for any worker. If the connection is gone the broker has done so by itself."""
        try:
            await self.message.nack(requeue=True)
        except Exception as error:
            log.warning("gpu_worker.delivery.not_handed_back", error=repr(error))
        else:
            deliveries(worker_tasks(self.events[0].data.model_id).name, "returned").inc()


def read_delivery(
    message: AbstractIncomingMessage, model_id: ModelId
) -> tuple[list[CloudEvent[RunAttempt]], list[RejectedEvents]]:
    """The attempts of this model in the message, and what else is in it: a poison event takes none of its neighbours with it."""
    try:
        return _attempts(message, message.body, model_id), []
    except UndecodableMessageError as error:
        whole = RejectedEvents(message.body, error.reason, error.detail)
    attempts: list[CloudEvent[RunAttempt]] = []
    rejected: list[RejectedEvents] = []
    for event in split(message.body):
        try:
            attempts += _attempts(message, event, model_id)
        except UndecodableMessageError as error:
            rejected.append(RejectedEvents(event, error.reason, error.detail))
    return attempts, rejected if attempts else [whole]


def _attempts(message: AbstractIncomingMessage, body: bytes, model_id: ModelId) -> list[CloudEvent[RunAttempt]]:
    check_routing(worker_tasks(model_id), message)
    if message.type not in (None, RunAttempt.event_type()):
        raise unexpected_type(message.type, [RunAttempt])
    check_content_type(message.content_type)
    events = codec(RunAttempt).decode(body)
    for event in events:
        if event.data.model_id != model_id:
            raise UndecodableMessageError("wrong_model", f"{event.data.model_id!r} in the queue of {model_id!r}")
    return events
