"""What a worker says about itself."""

from typing import Annotated

from pydantic import Field

from contracts.ids import AttemptId, ModelId, WorkerId
from contracts.message import Message, Timestamp, Value


class ServedModel(Value):
    model_id: ModelId
    slots: Annotated[int, Field(ge=1)]
    """How many attempts the worker runs at once."""


class WorkerHeartbeat(Message):
    """I am here, I serve these models, and I hold these attempts, or have said their success and was not told yet that they are
    over. Renews the lease of each attempt it names."""

    routing_key = "worker.heartbeat"

    worker_id: WorkerId
    models: tuple[ServedModel, ...]
    attempts: tuple[AttemptId, ...]
    stopping: bool = False
    """True: takes no more tasks."""
    interval_seconds: Annotated[float, Field(gt=0)]
    """When to expect the next one."""
    sent_at: Timestamp
