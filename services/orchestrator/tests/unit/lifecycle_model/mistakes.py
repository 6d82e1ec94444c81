"""Mistakes one could make in the lifecycle. The machine is worth something only if it finds each of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.attempts import AttemptSucceeded
from contracts.failures import FailureCode
from contracts.jobs import JobCancelRequested
from contracts.states import AttemptStatus, JobStatus
from orchestrator import fold, lifecycle
from orchestrator.decision import Decision, Input, Report, Rules, Verdict
from orchestrator.job import Job
from orchestrator.story import Story

Mistake = Callable[[pytest.MonkeyPatch], None]


def anybody_speaks_for_the_current_attempt(patch: pytest.MonkeyPatch) -> None:
    """No fence: a late word of an earlier attempt, or of another worker, counts."""
    report_of = lifecycle._report

    def unfenced(job: Job, report: Report, now: datetime, rules: Rules) -> Decision:
        if job.current is not None:
            holder = job.current.worker_id or report.worker_id
            report = report.model_copy(update={"attempt_id": job.current.attempt_id, "worker_id": holder})
        return report_of(job, report, now, rules)

    patch.setattr(lifecycle, "_report", unfenced)


def another_worker_speaks_for_a_started_attempt(patch: pytest.MonkeyPatch) -> None:
    report_of = lifecycle._report

    def unfenced(job: Job, report: Report, now: datetime, rules: Rules) -> Decision:
        if job.current is not None and job.current.worker_id is not None:
            report = report.model_copy(update={"worker_id": job.current.worker_id})
        return report_of(job, report, now, rules)

    patch.setattr(lifecycle, "_report", unfenced)


def a_result_is_taken_from_a_lapsed_attempt(patch: pytest.MonkeyPatch) -> None:
    """The work is done, so why not use it? Because the next attempt may be at work by then."""

    def decide(job: Job | None, message: Input, now: datetime, rules: Rules) -> Decision:
        if job is not None and job.status is JobStatus.QUEUED and isinstance(message, AttemptSucceeded):
            return Story(job, now).end_attempt(AttemptStatus.ABORTED).succeeded(message).decision()
        return lifecycle.decide(job, message, now, rules)

    patch.setattr(fold, "decide", decide)


def a_job_that_is_over_is_cancelled(patch: pytest.MonkeyPatch) -> None:
    def decide(job: Job | None, message: Input, now: datetime, rules: Rules) -> Decision:
        if job is not None and job.status.is_terminal and isinstance(message, JobCancelRequested):
            return Story(job, now).cancelled().decision()
        return lifecycle.decide(job, message, now, rules)

    patch.setattr(fold, "decide", decide)


def a_late_result_reopens_a_failed_job(patch: pytest.MonkeyPatch) -> None:
    def decide(job: Job | None, message: Input, now: datetime, rules: Rules) -> Decision:
        if job is not None and job.status is JobStatus.FAILED and isinstance(message, AttemptSucceeded):
            return Story(job, now).succeeded(message).decision()
        return lifecycle.decide(job, message, now, rules)

    patch.setattr(fold, "decide", decide)


def a_stage_is_not_numbered(patch: pytest.MonkeyPatch) -> None:
    stage = Story.stage

    def unnumbered(story: Story, report: Any) -> Story:
        story.job = replace(story.job, seq=story.job.seq - 1)
        return stage(story, report)

    patch.setattr(Story, "stage", unnumbered)


def a_change_is_not_told(patch: pytest.MonkeyPatch) -> None:
    def untold(story: Story, report: Any) -> Story:
        story.job = replace(story.job, stage=report.stage)
        return story

    patch.setattr(Story, "stage", untold)


def a_lease_lapses_before_its_time(patch: pytest.MonkeyPatch) -> None:
    on_timer = lifecycle._attempt_timer
    patch.setattr(lifecycle, "_attempt_timer", lambda job, timer, now: on_timer(job, timer, now + timedelta(hours=1)))


def a_lease_never_lapses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lifecycle, "_attempt_timer", lambda job, _timer, _now: Decision(Verdict.NOT_DUE, job))


def a_running_job_is_dispatched_again(patch: pytest.MonkeyPatch) -> None:
    dispatch = lifecycle._dispatch
    patch.setattr(
        lifecycle,
        "_dispatch",
        lambda job, message, now: dispatch(replace(job, current=None, status=JobStatus.QUEUED), message, now),
    )


def the_back_off_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    dispatch = lifecycle._dispatch
    patch.setattr(
        lifecycle, "_dispatch", lambda job, message, now: dispatch(replace(job, not_before=None), message, now)
    )


def the_back_off_has_no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("orchestrator.story.backoff", lambda _policy, _failed, _attempt_id: timedelta(days=365))


def the_queue_deadline_stops_a_running_job(patch: pytest.MonkeyPatch) -> None:
    def deadline(job: Job, now: datetime) -> Decision:
        return on_deadline(job if job.status.is_terminal else replace(job, status=JobStatus.QUEUED), now)

    on_deadline = lifecycle._queue_deadline
    patch.setattr(lifecycle, "_queue_deadline", deadline)


def attempts_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    retry_or_fail = Story.retry_or_fail

    def retry(story: Story, code: Any, message: str, attempt: Any) -> Story:
        policy = story.job.spec.policy
        unlimited = story.job.spec.model_copy(update={"policy": policy.model_copy(update={"max_attempts": 99})})
        story.job, spec = replace(story.job, spec=unlimited), story.job.spec
        retry_or_fail(story, code, message, attempt)
        story.job = replace(story.job, spec=spec)
        return story

    patch.setattr(Story, "retry_or_fail", retry)


def a_handed_back_attempt_counts_as_failed(patch: pytest.MonkeyPatch) -> None:
    retry_or_fail = Story.retry_or_fail

    def retry(story: Story, code: Any, message: str, attempt: Any) -> Story:
        code = FailureCode.WORKER_LOST if code is FailureCode.WORKER_SHUTDOWN else code
        return retry_or_fail(story, code, message, attempt)

    patch.setattr(Story, "retry_or_fail", retry)


def a_cancelled_job_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    """Its worker was lost before it could let go."""
    retry_or_fail = Story.retry_or_fail

    def retry(story: Story, code: Any, message: str, attempt: Any) -> Story:
        story.job = replace(story.job, cancel_requested=False)
        return retry_or_fail(story, code, message, attempt)

    patch.setattr(Story, "retry_or_fail", retry)


def an_attempt_ends_and_nobody_writes_it_down(patch: pytest.MonkeyPatch) -> None:
    end_attempt = Story.end_attempt

    def forgotten(story: Story, *args: Any) -> Story:
        end_attempt(story, *args)
        story._ended = None
        return story

    patch.setattr(Story, "end_attempt", forgotten)


def whoever_asks_again_is_told_nothing(patch: pytest.MonkeyPatch) -> None:
    accept = lifecycle._accept
    patch.setattr(lifecycle, "_accept", lambda job, message, now: replace(accept(job, message, now), retell=False))


def a_fenced_worker_is_not_told_to_stop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lifecycle, "_abort_reporter", lambda _message, _reason: None)


def a_stranger_may_cancel(patch: pytest.MonkeyPatch) -> None:
    cancel = lifecycle._cancel
    patch.setattr(
        lifecycle,
        "_cancel",
        lambda job, message, now: cancel(job, message.model_copy(update={"user_id": job.spec.user_id}), now),
    )


def a_result_that_overtook_its_start_is_refused(patch: pytest.MonkeyPatch) -> None:
    report_of = lifecycle._report

    def report(job: Job, message: Report, now: datetime, rules: Rules) -> Decision:
        untaken = job.current is not None and job.current.status is AttemptStatus.DISPATCHED
        if untaken and isinstance(message, AttemptSucceeded):
            return Decision(Verdict.FENCED, job)
        return report_of(job, message, now, rules)

    patch.setattr(lifecycle, "_report", report)


def a_withdrawn_attempt_is_put_on_the_bus(patch: pytest.MonkeyPatch) -> None:
    """Chosen and cancelled in one batch."""
    dispatch_message = fold.Fold.dispatched

    def dispatched(batch: fold.Fold) -> tuple[Job, ...]:
        withdrawn = (
            replace(job, current=attempt) for job, attempt in batch.ended.values() if attempt.worker_id is None
        )
        return (*dispatch_message(batch), *withdrawn)

    patch.setattr(fold.Fold, "dispatched", dispatched)


def the_batch_forgets_all_but_the_last_message(patch: pytest.MonkeyPatch) -> None:
    """Each decided on what was loaded, not on what the batch has made of it."""
    keep = fold.Fold._keep

    def forgetful(batch: fold.Fold, decision: Decision, traceparent: str | None) -> None:
        keep(batch, decision, traceparent)
        batch.events[:] = batch.events[-len(decision.events) :] if decision.events else []

    patch.setattr(fold.Fold, "_keep", forgetful)


MISTAKES: tuple[Mistake, ...] = (
    anybody_speaks_for_the_current_attempt,
    another_worker_speaks_for_a_started_attempt,
    a_result_is_taken_from_a_lapsed_attempt,
    a_job_that_is_over_is_cancelled,
    a_late_result_reopens_a_failed_job,
    a_stage_is_not_numbered,
    a_change_is_not_told,
    a_lease_lapses_before_its_time,
    a_lease_never_lapses,
    a_running_job_is_dispatched_again,
    the_back_off_is_not_waited_for,
    the_back_off_has_no_end,
    the_queue_deadline_stops_a_running_job,
    attempts_are_not_counted,
    a_handed_back_attempt_counts_as_failed,
    a_cancelled_job_is_tried_again,
    an_attempt_ends_and_nobody_writes_it_down,
    whoever_asks_again_is_told_nothing,
    a_fenced_worker_is_not_told_to_stop,
    a_stranger_may_cancel,
    a_result_that_overtook_its_start_is_refused,
    a_withdrawn_attempt_is_put_on_the_bus,
    the_batch_forgets_all_but_the_last_message,
)
