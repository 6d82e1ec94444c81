"""The words of the lifecycle: what it is told, and what it answers."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from contracts.attempts import (
    AttemptFailed,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
)
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import (
    JobCancelRequested,
    JobEvent,
    JobRequested,
)
from orchestrator.job import Attempt, Job


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The dispatcher chose this job: its next attempt goes on the bus."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class LeaseLapsed:
    """No heartbeat renewed the attempt's lease in time."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class ExecutionOverdue:
    """The attempt ran past its execution timeout and its worker did not stop it."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class QueueDeadlinePassed:
    job_id: JobId


Timer: TypeAlias = LeaseLapsed | ExecutionOverdue | QueueDeadlinePassed
Report: TypeAlias = AttemptStarted | AttemptStageChanged | AttemptSucceeded | AttemptFailed
Input: TypeAlias = JobRequested | JobCancelRequested | Report | Dispatch | Timer


class Verdict(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """It had been said before; nothing changed."""
    FENCED = "fenced"
    """Said in the name of an attempt that is not current, or by a worker that does not hold it."""
    TERMINAL = "terminal"
    """The job is over."""
    UNKNOWN_JOB = "unknown_job"
    """Its request has not arrived, or the job was removed long ago."""
    FOREIGN = "foreign"
    """Asked for by somebody who does not own the job."""
    NOT_DUE = "not_due"
    """A timer that no longer applies: renewed, already dispatched, already gone."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Tell this worker to stop this attempt."""

    worker_id: WorkerId
    job_id: JobId
    attempt_id: AttemptId
    reason: FailureCode
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    job: Job | None
    """The job as it is now."""
    events: tuple[JobEvent, ...] = ()
    ended: Attempt | None = None
    """The attempt that ended by this, with its outcome; the job no longer holds it."""
    abort: Abort | None = None
    retell: bool = False
    """The sender seems not to know what became of the job: its events must be told again."""


@dataclass(frozen=True, slots=True)
class Rules:
    lease_ttl: timedelta
    execution_grace: timedelta
    """How much longer than the execution timeout to wait for the worker's own report of it."""
