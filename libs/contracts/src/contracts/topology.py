"""The bus on one screen: every exchange, routing key and queue of the system.

Names: routing keys are ``<noun>.<verb>``, queues ``<consumer>.<what>``. Arguments of a queue cannot be changed in place:
a changed argument is a new queue name. Works on RabbitMQ 3.10 and 4.x.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from contracts import attempts, jobs, workers
from contracts.ids import ModelId, WorkerId
from contracts.message import Message


class Exchange(StrEnum):
    """Topic exchanges, durable."""

    JOBS = "jobs"
    """Requests for jobs and facts about them."""
    GPU = "gpu"
    """Tasks for workers and what they report."""
    DEAD_LETTERS = "dead-letters"
    """What could not be handled; the routing key is the name of the queue it fell out of."""


class QueueKind(StrEnum):
    QUORUM = "quorum"
    """Replicated and durable: it outlives the loss of any one node."""
    EXCLUSIVE = "exclusive"
    """One process's own, gone with it: each replica hears everything."""
    STREAM = "stream"
    """An append-only log: any number of readers, each from wherever it likes. Reading removes nothing, only retention does."""


@dataclass(frozen=True, slots=True)
class StreamRetention:
    """How much of a stream is kept: whichever limit is met first. Source: https://www.rabbitmq.com/docs/streams#retention

    These are defaults, for they are arguments of the queue and stay what they were at its first declaration. A policy
    (`max-age`, `max-length-bytes`) goes before them, longer or shorter, and counts at once: that is how to keep another span.
    """

    max_age_days: int
    max_bytes: int
    segment_bytes: int
    """Only whole segments are removed, and only when the next one begins: what is kept may be more by as much."""

    @property
    def arguments(self) -> dict[str, str | int]:
        return {
            "x-max-age": f"{self.max_age_days}D",
            "x-max-length-bytes": self.max_bytes,
            "x-stream-max-segment-size-bytes": self.segment_bytes,
        }


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    kind: QueueKind
    exchange: Exchange
    hears: tuple[type[Message], ...]
    keys: tuple[str, ...] = ()
    """Binding keys, where they are not simply the routing keys of `hears`."""
    message_ttl_seconds: float | None = None
    dead_letters: bool = True
    retention: StreamRetention | None = None
    """Of a stream: one without would fill the disk."""

    @property
    def binding_keys(self) -> tuple[str, ...]:
        return self.keys or tuple(message.routing_key for message in self.hears)

    @property
    def owner(self) -> str:
        """The service that makes it: the one that consumes it, after which it is named. A stream is made by who fills it: its
        readers only read."""
        return PUBLISHED_BY[self.hears[0]] if self.kind is QueueKind.STREAM else self.name.partition(".")[0]

    @property
    def keeps_dead_letters(self) -> bool:
        return self.dead_letters and self.kind is QueueKind.QUORUM

    @property
    def arguments(self) -> dict[str, str | int]:
        arguments: dict[str, str | int] = {}
        if self.kind is QueueKind.QUORUM:
            # At-least-once dead-lettering needs reject-publish: a full queue refuses, it never drops.
            arguments |= {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, "x-overflow": "reject-publish"}
            if self.dead_letters:
                arguments |= {
                    "x-dead-letter-exchange": Exchange.DEAD_LETTERS.value,
                    "x-dead-letter-routing-key": self.name,
                    "x-dead-letter-strategy": "at-least-once",
                }
        if self.kind is QueueKind.STREAM and self.retention is not None:
            arguments |= {"x-queue-type": "stream"} | self.retention.arguments
        if self.message_ttl_seconds is not None:
            arguments["x-message-ttl"] = int(self.message_ttl_seconds * 1000)
        return arguments


DELIVERY_LIMIT = 50
"""Redeliveries after which a message counts as poison. Outages requeue too, so this is generous."""

PUBLISHED_ON: dict[type[Message], Exchange] = {
    jobs.JobRequested: Exchange.JOBS,
    jobs.JobCancelRequested: Exchange.JOBS,
    **dict.fromkeys(jobs.JOB_EVENTS, Exchange.JOBS),
    attempts.RunAttempt: Exchange.GPU,
    attempts.AbortAttempt: Exchange.GPU,
    attempts.AttemptStarted: Exchange.GPU,
    attempts.AttemptStageChanged: Exchange.GPU,
    attempts.AttemptProgressed: Exchange.GPU,
    attempts.AttemptSucceeded: Exchange.GPU,
    attempts.AttemptFailed: Exchange.GPU,
    workers.WorkerHeartbeat: Exchange.GPU,
}

PUBLISHED_BY: dict[type[Message], str] = {
    jobs.JobRequested: "gateway",
    jobs.JobCancelRequested: "gateway",
    **dict.fromkeys(jobs.JOB_EVENTS, "orchestrator"),
    attempts.RunAttempt: "orchestrator",
    attempts.AbortAttempt: "orchestrator",
    attempts.AttemptStarted: "gpu-worker",
    attempts.AttemptStageChanged: "gpu-worker",
    attempts.AttemptProgressed: "gpu-worker",
    attempts.AttemptSucceeded: "gpu-worker",
    attempts.AttemptFailed: "gpu-worker",
    workers.WorkerHeartbeat: "gpu-worker",
}

# --- orchestrator ---

ORCHESTRATOR_REQUESTS = Queue(
    "orchestrator.requests", QueueKind.QUORUM, Exchange.JOBS, (jobs.JobRequested, jobs.JobCancelRequested)
)
ORCHESTRATOR_REPORTS = Queue(
    "orchestrator.reports",
    QueueKind.QUORUM,
    Exchange.GPU,
    (attempts.AttemptStarted, attempts.AttemptStageChanged, attempts.AttemptSucceeded, attempts.AttemptFailed),
)
ORCHESTRATOR_HEARTBEATS = Queue(
    "orchestrator.worker-heartbeats",
    # What is in it may well be lost, but a classic queue is gone with its node, and no session is whole without it.
    QueueKind.QUORUM,
    Exchange.GPU,
    (workers.WorkerHeartbeat,),
    message_ttl_seconds=10,
    dead_letters=False,
)

# --- gateway ---

GATEWAY_PROJECTION = Queue("gateway.projection", QueueKind.QUORUM, Exchange.JOBS, jobs.JOB_EVENTS)


def gateway_telemetry(instance: str) -> Queue:
    """Progress and heartbeats, for one gateway process."""
    return Queue(
        f"gateway.telemetry.{instance}",
        QueueKind.EXCLUSIVE,
        Exchange.GPU,
        (attempts.AttemptProgressed, workers.WorkerHeartbeat),
        message_ttl_seconds=30,  # a process that hangs must not fill the broker's memory
    )


# --- artifacts ---

ARTIFACTS_INPUTS = Queue("artifacts.inputs", QueueKind.QUORUM, Exchange.JOBS, (jobs.JobQueued,))
ARTIFACTS_OUTCOMES = Queue(
    "artifacts.outcomes",
    QueueKind.QUORUM,
    Exchange.JOBS,
    (jobs.JobSucceeded, jobs.JobFailed, jobs.JobCancelled),
)

# --- gpu-worker ---


def run_attempt_key(model_id: ModelId) -> str:
    return f"{attempts.RunAttempt.routing_key}.{model_id}"


def worker_tasks(model_id: ModelId) -> Queue:
    """The short window of dispatched attempts of one model, shared by the workers that serve it."""
    return Queue(
        f"gpu-worker.tasks.{model_id}",
        QueueKind.QUORUM,
        Exchange.GPU,
        (attempts.RunAttempt,),
        keys=(run_attempt_key(model_id),),
    )


def abort_attempt_key(worker_id: WorkerId) -> str:
    return f"{attempts.AbortAttempt.routing_key}.{worker_id}"


def worker_control(worker_id: WorkerId) -> Queue:
    """What only this worker process must hear."""
    return Queue(
        f"gpu-worker.control.{worker_id}",
        QueueKind.EXCLUSIVE,
        Exchange.GPU,
        (attempts.AbortAttempt,),
        keys=(abort_attempt_key(worker_id),),
    )


# --- analytics ---

ANALYTICS_EVENTS = Queue(
    "analytics.events",
    QueueKind.STREAM,
    Exchange.JOBS,
    jobs.JOB_EVENTS,
    dead_letters=False,  # nothing falls out of a log: a reader that cannot read a message goes past it
    retention=StreamRetention(max_age_days=7, max_bytes=5_000_000_000, segment_bytes=64_000_000),
)
"""Every fact about every job, to be read again from any point in time."""

# --- dead letters ---

UNREACHABLE_DELIVERY_LIMIT = 1_000_000
"""Since RabbitMQ 4.0 no limit means 20; 3.10 takes -1 at its word and drops what is put back once."""


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """Where the messages that fell out of `source` wait for a person.

    Looking at a letter takes it and puts it back, which counts as a delivery: with a limit within reach, looking would destroy.
    And RabbitMQ 3 puts back at the head what was taken from there only if the queue has a limit; else at the tail.
    """

    source: Queue
    arguments: dict[str, str | int] = field(
        default_factory=lambda: {"x-queue-type": "quorum", "x-delivery-limit": UNREACHABLE_DELIVERY_LIMIT}
    )

    @property
    def name(self) -> str:
        return dead_letter_queue_name(self.source.name)


def dead_letter_queue_name(source: str) -> str:
    return f"{source}.dead-letters"


# --- memory ---


@dataclass(frozen=True, slots=True)
class Keepsake:
    """A durable queue with one message that nobody consumes. While it is there, the broker remembers what it was given; when it
    is gone, so is everything that was on its way.

    It comes by an exchange, under the queue's name: who may publish to the default exchange may put anything into any queue.
    """

    name: str
    exchange: Exchange = Exchange.JOBS
    arguments: dict[str, str | int] = field(
        default_factory=lambda: {"x-queue-type": "quorum", "x-delivery-limit": UNREACHABLE_DELIVERY_LIMIT}
    )

    @property
    def owner(self) -> str:
        return self.name.partition(".")[0]


ORCHESTRATOR_KEEPSAKE = Keepsake("orchestrator.keepsake")


SHARED_QUEUES: tuple[Queue, ...] = (
    ORCHESTRATOR_REQUESTS,
    ORCHESTRATOR_REPORTS,
    ORCHESTRATOR_HEARTBEATS,
    GATEWAY_PROJECTION,
    ARTIFACTS_INPUTS,
    ARTIFACTS_OUTCOMES,
    ANALYTICS_EVENTS,
)
"""Every queue with a fixed name; the others are made per model, per worker or per gateway process."""

EVENT_QUEUES: tuple[Queue, ...] = tuple(
    queue for queue in SHARED_QUEUES if queue.kind is not QueueKind.STREAM and set(queue.hears) <= set(jobs.JOB_EVENTS)
)
"""Where facts about jobs wait for their subscribers. In a stream nothing waits: it is never empty."""

QUEUES: tuple[Queue, ...] = (
    *SHARED_QUEUES,
    gateway_telemetry("{instance}"),
    worker_tasks(ModelId("{model_id}")),
    worker_control(WorkerId("{worker_id}")),
)
"""Every queue of the system; parameters stand in braces."""

EXCHANGES_OWNER = "orchestrator"
"""The service that makes the exchanges: everything that is said goes to it or comes from it."""
