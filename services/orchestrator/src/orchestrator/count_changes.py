"""What a commit made of jobs and attempts, in numbers."""

from contracts.states import JobStatus
from orchestrator.fold import Fold
from orchestrator.job import Attempt, Job
from orchestrator.metrics import attempts_ended, job_run_seconds, job_wait_seconds, jobs_ended, retries

_NO_CODE = "none"


def count_changes(fold: Fold) -> None:
    """To be called once the fold is committed, and only then. A change is in no other fold, so nothing is counted twice: what
    comes a second time finds the job as it has become."""
    for job_id, job in fold.jobs.items():
        before = fold.loaded.get(job_id)
        if job is not before:
            _count_job(before, job)
    for job, attempt in fold.ended.values():
        _count_attempt(job, attempt)


def _count_job(before: Job | None, job: Job) -> None:
    model_id = job.spec.model_id
    if job.started_at is not None and (before is None or before.started_at is None):
        job_wait_seconds(model_id).observe((job.started_at - job.accepted_at).total_seconds())
    if job.completed_at is not None and (before is None or before.completed_at is None):
        jobs_ended(model_id, job.status, _NO_CODE if job.error is None else job.error.code).inc()
        if job.started_at is not None:
            job_run_seconds(model_id, job.status).observe((job.completed_at - job.started_at).total_seconds())


def _count_attempt(job: Job, attempt: Attempt) -> None:
    """`job`: as it was when the attempt had just ended."""
    code = attempt.failure_code or _NO_CODE
    attempts_ended(job.spec.model_id, attempt.status, code).inc()
    if job.status is JobStatus.QUEUED:
        retries(job.spec.model_id, code).inc()
