"""Jobs, attempts and events as rows, and back."""

from typing import Any, TypeAlias

import asyncpg

from contracts.failures import FailureCode
from contracts.ids import AttemptId, WorkerId
from contracts.jobs import JOB_EVENTS, JobError, JobEvent, JobSpec
from contracts.states import AttemptStatus, JobStatus, Stage
from orchestrator.job import Attempt, Job

JOB_COLUMNS = """
    j.spec, j.status, j.seq, j.accepted_at, j.attempts_made, j.handbacks, j.stage, j.cancel_requested, j.not_before,
    j.queue_deadline_at, j.started_at, j.completed_at, j.error, j.winning_attempt_id, j.traceparent,
    a.attempt_id, a.number, a.status AS attempt_status, a.dispatched_at, a.worker_id, a.started_at AS attempt_started_at,
    a.lease_expires_at, a.deadline_at
"""
"""What `job_of` reads, of `jobs j LEFT JOIN attempts a`."""


def job_of(row: asyncpg.Record) -> Job:
    return Job(
        spec=JobSpec.model_validate(row["spec"]),
        status=JobStatus(row["status"]),
        seq=row["seq"],
        accepted_at=row["accepted_at"],
        current=_attempt(row) if row["attempt_id"] is not None else None,
        attempts_made=row["attempts_made"],
        handbacks=row["handbacks"],
        stage=Stage(row["stage"]) if row["stage"] is not None else None,
        cancel_requested=row["cancel_requested"],
        not_before=row["not_before"],
        queue_deadline_at=row["queue_deadline_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        error=JobError.model_validate(row["error"]) if row["error"] is not None else None,
        winning_attempt_id=row["winning_attempt_id"],
        traceparent=row["traceparent"],
    )


def _attempt(row: asyncpg.Record) -> Attempt:
    return Attempt(
        attempt_id=AttemptId(row["attempt_id"]),
        number=row["number"],
        status=AttemptStatus(row["attempt_status"]),
        dispatched_at=row["dispatched_at"],
        worker_id=WorkerId(row["worker_id"]) if row["worker_id"] is not None else None,
        started_at=row["attempt_started_at"],
        lease_expires_at=row["lease_expires_at"],
        deadline_at=row["deadline_at"],
    )


def job_row(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "user_id": job.spec.user_id,
        "model_id": job.spec.model_id,
        "priority": job.spec.priority,
        "status": job.status,
        "seq": job.seq,
        "accepted_at": job.accepted_at,
        "attempt_id": job.current.attempt_id if job.current is not None else None,
        "attempts_made": job.attempts_made,
        "handbacks": job.handbacks,
        "stage": job.stage,
        "cancel_requested": job.cancel_requested,
        "not_before": job.not_before,
        "queue_deadline_at": job.queue_deadline_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "error": job.error,
        "winning_attempt_id": job.winning_attempt_id,
    }


def attempt_row(job: Job, attempt: Attempt) -> dict[str, Any]:
    code: FailureCode | None = attempt.failure_code
    return {
        "attempt_id": attempt.attempt_id,
        "job_id": job.job_id,
        "number": attempt.number,
        "model_id": job.spec.model_id,
        "user_id": job.spec.user_id,
        "status": attempt.status,
        "worker_id": attempt.worker_id,
        "dispatched_at": attempt.dispatched_at,
        "started_at": attempt.started_at,
        "lease_expires_at": attempt.lease_expires_at,
        "deadline_at": attempt.deadline_at,
        "ended_at": attempt.ended_at,
        "failure_code": code,
        "failure_message": attempt.failure_message,
    }


TracedEvent: TypeAlias = tuple[JobEvent, str | None]
"""An event with the trace context of what caused it."""

_EVENT_TYPES = {event_type.routing_key: event_type for event_type in JOB_EVENTS}


def event_of(row: asyncpg.Record) -> TracedEvent:
    return _EVENT_TYPES[row["type"]].model_validate(row["payload"]), row["traceparent"]


def event_row(event: JobEvent, traceparent: str | None) -> dict[str, Any]:
    return {
        "job_id": event.job_id,
        "seq": event.seq,
        "type": event.routing_key,
        "payload": event,
        "traceparent": traceparent,
        "occurred_at": event.occurred_at,
    }
