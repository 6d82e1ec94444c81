"""A message from a model's task queue, not yet acknowledged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from aio_pika.abc import AbstractIncomingMessage

from contracts.attempts import RunAttempt
from contracts.cloudevents import CloudEvent, UndecodableMessageError, codec
from contracts.ids import ModelId

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Usually one attempt. Several in one message are claimed, or given back, together."""

    events: Sequence[CloudEvent[RunAttempt]]
    message: AbstractIncomingMessage
    arrived_at: float = field(default_factory=time.monotonic)

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.arrived_at

    async def acknowledge(self) -> None:
        """If the connection is gone the broker delivers again, to anybody: copies must be known as such."""
        try:
            await self.message.ack()
        except Exception as error:
            log.warning("gpu_worker.delivery.not_acknowledged", error=repr(error))

    async def hand_back(self) -> None:
        """To the queue, for any worker. If the connection is gone the broker has done so by itself."""
        try:
            await self.message.nack(requeue=True)
        except Exception as error:
            log.warning("gpu_worker.delivery.not_handed_back", error=repr(error))


def decode_delivery(message: AbstractIncomingMessage, model_id: ModelId) -> Delivery:
    """Raises UndecodableMessageError if these are not attempts of this model."""
    expected = RunAttempt.event_type()
    if message.type not in (None, expected):
        raise UndecodableMessageError("unknown_type", f"type {message.type!r} where {expected!r} was expected")
    events = codec(RunAttempt).decode(message.body)
    if not events:
        raise UndecodableMessageError("invalid_payload", "an empty batch")
    for event in events:
        if event.data.model_id != model_id:
            raise UndecodableMessageError("wrong_model", f"{event.data.model_id!r} in the queue of {model_id!r}")
    return Delivery(events, message)
