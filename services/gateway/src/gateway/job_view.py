"""A job as its owner sees it, and how the facts about jobs change that."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.ids import AttemptId, JobId, ModelId, UserId
from contracts.jobs import JobEvent, JobQueued, JobSpec, JobStarted, JobSucceeded
from contracts.message import JsonObject
from contracts.states import JobStatus, Stage
from gateway.progress import Progress


@dataclass(frozen=True, slots=True)
class JobView:
    """One row of the read model whose static part is known. Field order is the column order of the store's queries."""

    id: JobId
    user_id: UserId
    model_id: ModelId
    input_params: JsonObject
    prompt: str | None
    created_at: datetime
    seq: int
    """Of the newest event applied; 0: the orchestrator has not spoken yet."""
    status: JobStatus
    stage: Stage | None
    attempt: int
    cancel_requested: bool
    """The owner wants it cancelled: known from an event, or recorded when the owner said so. What is over is what it became."""
    started_at: datetime | None
    completed_at: datetime | None
    error: JsonObject | None
    winning_attempt_id: AttemptId | None
    progress_percent: int
    max_attempts: int

    @property
    def is_over(self) -> bool:
        return self.status.is_terminal


def requested_view(job: JobSpec) -> JobView:
    """The view of a job that was asked for a moment ago."""
    return JobView(
        id=job.job_id,
        user_id=job.user_id,
        model_id=job.model_id,
        input_params=job.input_params,
        prompt=job.prompt,
        created_at=job.requested_at,
        seq=0,
        status=JobStatus.QUEUED,
        stage=None,
        attempt=0,
        cancel_requested=False,
        started_at=None,
        completed_at=None,
        error=None,
        winning_attempt_id=None,
        progress_percent=0,
        max_attempts=job.policy.max_attempts,
    )


def job_body(
    view: JobView, *, progress: Progress | None, queue_position: int | None, cancel_requested: bool = False
) -> dict[str, Any]:
    """The job of the REST contract. `progress` counts only while the job runs: state is truth, progress is telemetry."""
    stage, percent = view.stage, view.progress_percent
    if progress is not None and view.status is JobStatus.RUNNING:
        stage, percent = progress.stage, max(percent, int(progress.percent))
    return {
        "id": view.id,
        "model_id": view.model_id,
        "status": view.status,
        "progress_percent": percent,
        "stage": stage,
        "created_at": view.created_at,
        "started_at": view.started_at,
        "completed_at": view.completed_at,
        "input_params": view.input_params,
        "prompt": view.prompt,
        "attempt": view.attempt,
        "max_attempts": view.max_attempts,
        "queue_position": queue_position if view.status is JobStatus.QUEUED else None,
        "cancel_requested": view.cancel_requested or cancel_requested,
        "error": view.error,
    }


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What a batch of facts says about one job: its newest state, and the job itself if it was among them."""

    newest: JobEvent
    job: JobSpec | None
    winning_attempt_id: AttemptId | None


def fold(events: Iterable[JobEvent]) -> list[ViewChange]:
    """One change per job, by id, so that two batches lock rows in the same order. Duplicates and disorder do not matter."""
    newest: dict[JobId, JobEvent] = {}
    jobs: dict[JobId, JobSpec] = {}
    winners: dict[JobId, AttemptId] = {}
    for event in events:
        known = newest.get(event.job_id)
        if known is None or known.seq < event.seq:
            newest[event.job_id] = event
        if isinstance(event, JobQueued):
            jobs[event.job_id] = event.job
        elif isinstance(event, JobSucceeded):
            winners[event.job_id] = event.attempt_id
    return [ViewChange(newest[job_id], jobs.get(job_id), winners.get(job_id)) for job_id in sorted(newest)]


def percent_at(event: JobEvent, heard: Progress | None) -> int:
    """What the bar shows once the event is applied: full on success, else as far as the job was heard to get."""
    if event.state.status is JobStatus.SUCCEEDED:
        return 100
    if event.state.status is JobStatus.QUEUED or isinstance(event, JobStarted) or heard is None:
        return 0
    return int(heard.percent)


_INTERNAL_FIELDS = {"job_id", "seq", "user_id", "model_id", "occurred_at", "job", "state"}


def public_payload(event: JobEvent) -> JsonObject:
    """What the job's owner may read of an event: which attempt it is about, on which worker, and what became of it."""
    state = event.state.model_dump(mode="json", include={"status", "stage", "attempt", "cancel_requested", "error"})
    return state | event.model_dump(mode="json", exclude=_INTERNAL_FIELDS)
