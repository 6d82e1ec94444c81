"""What a run left behind: what clients were told, what was said on the bus, and what the stores hold. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

TERMINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A POST was answered with a job: 201, or 200 when the same key had made it before."""

    key: str
    job_id: str
    makes_model: bool
    """Whether this job, if it succeeds, has a model file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, as far as everybody must agree on it."""

    status: str
    error_code: str | None
    completed_at: datetime | None

    def __str__(self) -> str:
        return f"{self.status}{f' ({self.error_code})' if self.error_code else ''} at {self.completed_at}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A client saw a job in a terminal state."""

    job_id: str
    outcome: Outcome
    at_seconds: float
    """Since the run began."""


@dataclass(frozen=True, slots=True)
class JobRow:
    job_id: str
    seq: int
    outcome: Outcome
    winning_attempt_id: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    attempt_id: str
    job_id: str
    number: int
    status: str
    worker_id: str | None
    dispatched_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class File:
    name: str
    kind: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of the orchestrator's `job_events`."""

    job_id: str
    seq: int
    type: str
    outcome: Outcome
    """The state the event carries."""
    digest: str
    """Of the whole event, None values left out."""
    attempt_id: str | None = None
    outputs: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as the independent subscriber heard it."""

    job_id: str
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    job_id: str
    attempt_id: str | None
    file: File
    object_name: str


@dataclass(frozen=True, slots=True)
class Download:
    """What a client got who asked for the model of a job."""

    job_id: str
    object_name: str | None
    """Of the URL that was given; None: none was."""
    size_bytes: int = 0
    sha256: str | None = None
    """Of the bytes that arrived; None: none did."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    queue: str
    reason: str
    type: str
    body: str


@dataclass
class History:
    accepted: tuple[Accepted, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    final: dict[str, Outcome | None] = field(default_factory=dict)
    """What the API says of each accepted job after the drain; None: it does not know it."""
    jobs: Sequence[JobRow] = ()
    attempts: Sequence[AttemptRow] = ()
    log: Sequence[LogRow] = ()
    views: Sequence[JobRow] = ()
    view_log: Sequence[tuple[str, int, str]] = ()
    """Job, seq and type of each row of the gateway's copy of the log."""
    artifacts: Sequence[ArtifactRow] = ()
    downloads: tuple[Download, ...] = ()
    heard: Sequence[Heard] = ()
    """In the order of their arrival."""
    dead_letters: Sequence[DeadLetter] = ()
