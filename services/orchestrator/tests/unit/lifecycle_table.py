"""The states × messages table of `docs/job-lifecycle.md`: its rows, its columns, and how a decision is written in a cell."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.orchestrator.tests.builders import (
    OTHER_WORKER,
    RULES,
    STRANGER,
    T0,
    a_spec,
    cancel,
    failed,
    requested,
    stage_changed,
    started,
    succeeded,
)

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId
from contracts.states import AttemptStatus, JobStatus, Stage
from orchestrator.decision import Decision, Dispatch, ExecutionOverdue, Input, LeaseLapsed, QueueDeadlinePassed, Verdict
from orchestrator.job import Job
from orchestrator.lifecycle import decide

JOB = JobId(UUID(int=1))
EARLIER, CURRENT, NEXT = (AttemptId(UUID(int=number)) for number in (2, 3, 4))

Policy = dict[str, Any]
PATIENT: Policy = {"max_attempts": 3, "queue_timeout_seconds": 7200, "execution_timeout_seconds": 60}
LAST_ATTEMPT: Policy = PATIENT | {"max_attempts": 2}

AT_ONCE = timedelta(milliseconds=1)
MUCH_LATER = timedelta(days=1)
"""Every lease, deadline and back-off of the table has run out by then."""

Said = tuple[Input, datetime]
T1 = T0 + timedelta(hours=1)
"""When the second attempt is dispatched, its back-off long over."""


# The current attempt is the second, so that there is an earlier one to be confused with.
_FIRST_FAILED: tuple[Said, ...] = (
    (Dispatch(JOB, EARLIER), T0),
    (started(JOB, EARLIER), T0),
    (failed(JOB, EARLIER), T0),
)
_DISPATCHED: tuple[Said, ...] = (*_FIRST_FAILED, (Dispatch(JOB, CURRENT), T1))
_RUNNING: tuple[Said, ...] = (
    *_DISPATCHED,
    (started(JOB, CURRENT), T1),
    (stage_changed(JOB, CURRENT, stage=Stage.SEGMENT), T1),
)

STATES: dict[str, tuple[Said, ...] | None] = {
    "none": None,
    "waiting": (),
    "backing off": _FIRST_FAILED,
    "dispatched": _DISPATCHED,
    "running": _RUNNING,
    "cancelling": (*_RUNNING, (cancel(JOB), T1)),
    "succeeded": (*_RUNNING, (succeeded(JOB, CURRENT), T1)),
    "failed": (*_RUNNING, (failed(JOB, CURRENT, FailureCode.INVALID_IMAGE), T1)),
    "cancelled": (*_RUNNING, (cancel(JOB), T1), (failed(JOB, CURRENT, FailureCode.CANCELLED), T1)),
}


def job_in(state: str, policy: Policy = PATIENT) -> tuple[Job | None, datetime]:
    """A job brought into that state by messages alone, and when it got there."""
    history = STATES[state]
    if history is None:
        return None, T0
    job: Job | None = None
    at = T0
    for message, at in ((requested(a_spec(JOB, **policy)), T0), *history):  # the last one is the answer
        job = decide(job, message, at, RULES).job
    return job, at


def state_of(job: Job | None, now: datetime) -> str:
    if job is None:
        return "none"
    match job.status, job.current:
        case JobStatus.QUEUED, None:
            return "backing off" if job.not_before is not None and job.not_before > now else "waiting"
        case JobStatus.QUEUED, attempt if attempt is not None and attempt.status is AttemptStatus.DISPATCHED:
            return "dispatched"
        case JobStatus.RUNNING, attempt if attempt is not None and attempt.status is AttemptStatus.STARTED:
            return "cancelling" if job.cancel_requested else "running"
        case status, None if status.is_terminal:
            return status.lower()
        case status, attempt:
            raise AssertionError(f"{status} with the attempt {attempt}: a state that must not be")


@dataclass(frozen=True, slots=True)
class Row:
    message: Input
    after: timedelta = AT_ONCE
    """How long the job has been in its state."""
    policy: Policy = field(default_factory=lambda: PATIENT)


def _failures() -> dict[str, Row]:
    retryable, fatal = FailureCode.ENGINE_CRASHED, FailureCode.INVALID_IMAGE
    return {
        "AttemptFailed, retryable": Row(failed(JOB, CURRENT, retryable)),
        "AttemptFailed, retryable, the last attempt": Row(failed(JOB, CURRENT, retryable), policy=LAST_ATTEMPT),
        "AttemptFailed, fatal": Row(failed(JOB, CURRENT, fatal)),
        "AttemptFailed, handed back": Row(failed(JOB, CURRENT, FailureCode.WORKER_SHUTDOWN)),
        "AttemptFailed, handed back, the last attempt": Row(
            failed(JOB, CURRENT, FailureCode.WORKER_SHUTDOWN), policy=LAST_ATTEMPT
        ),
        "AttemptFailed, cancelled": Row(failed(JOB, CURRENT, FailureCode.CANCELLED)),
        "AttemptFailed, by another worker": Row(failed(JOB, CURRENT, retryable, OTHER_WORKER)),
        "AttemptFailed, an earlier attempt": Row(failed(JOB, EARLIER, retryable)),
    }


ROWS: dict[str, Row] = {
    "JobRequested": Row(requested(a_spec(JOB, **PATIENT))),
    "JobCancelRequested, by its owner": Row(cancel(JOB)),
    "JobCancelRequested, by another user": Row(cancel(JOB, STRANGER)),
    "Dispatch": Row(Dispatch(JOB, NEXT)),
    "AttemptStarted": Row(started(JOB, CURRENT)),
    "AttemptStarted, by another worker": Row(started(JOB, CURRENT, OTHER_WORKER)),
    "AttemptStarted, an earlier attempt": Row(started(JOB, EARLIER)),
    "AttemptStageChanged": Row(stage_changed(JOB, CURRENT)),
    "AttemptStageChanged, the same stage": Row(stage_changed(JOB, CURRENT, stage=Stage.SEGMENT)),
    "AttemptStageChanged, by another worker": Row(stage_changed(JOB, CURRENT, OTHER_WORKER)),
    "AttemptStageChanged, an earlier attempt": Row(stage_changed(JOB, EARLIER)),
    "AttemptSucceeded": Row(succeeded(JOB, CURRENT)),
    "AttemptSucceeded, by another worker": Row(succeeded(JOB, CURRENT, OTHER_WORKER)),
    "AttemptSucceeded, an earlier attempt": Row(succeeded(JOB, EARLIER)),
    **_failures(),
    "LeaseLapsed": Row(LeaseLapsed(JOB, CURRENT), MUCH_LATER),
    "LeaseLapsed, the last attempt": Row(LeaseLapsed(JOB, CURRENT), MUCH_LATER, LAST_ATTEMPT),
    "LeaseLapsed, renewed meanwhile": Row(LeaseLapsed(JOB, CURRENT)),
    "LeaseLapsed, an earlier attempt": Row(LeaseLapsed(JOB, EARLIER), MUCH_LATER),
    "ExecutionOverdue": Row(ExecutionOverdue(JOB, CURRENT), MUCH_LATER),
    "ExecutionOverdue, the last attempt": Row(ExecutionOverdue(JOB, CURRENT), MUCH_LATER, LAST_ATTEMPT),
    "ExecutionOverdue, not yet": Row(ExecutionOverdue(JOB, CURRENT)),
    "ExecutionOverdue, an earlier attempt": Row(ExecutionOverdue(JOB, EARLIER), MUCH_LATER),
    "QueueDeadlinePassed": Row(QueueDeadlinePassed(JOB), MUCH_LATER),
    "QueueDeadlinePassed, not yet": Row(QueueDeadlinePassed(JOB)),
}


def decision(state: str, row: Row) -> tuple[Job | None, Decision, datetime]:
    """The job in that state, what the row's message does to it, and when."""
    job, since = job_in(state, row.policy)
    now = since + row.after
    return job, decide(job, row.message, now, RULES), now


def cell(decided: Decision, now: datetime) -> str:
    """How the table writes a decision: see its legend."""
    if decided.verdict is Verdict.APPLIED:
        events = ", ".join(event.routing_key.removeprefix("job.") for event in decided.events)
        text = f"**{state_of(decided.job, now)}**" + (f": {events}" if events else "")
    else:
        text = decided.verdict.replace("_", " ")
    return text + " + abort" * (decided.abort is not None) + " + retell" * decided.retell
