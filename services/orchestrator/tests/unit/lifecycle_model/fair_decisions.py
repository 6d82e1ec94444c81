"""Whether each message got the answer it deserves: what counts is applied, and nothing else changes anything.

The rules are said a second time here, as principles instead of case by case: the holder of an attempt is heard and nobody else; a
timer counts once its time has come; what is over is over.
"""

from services.orchestrator.tests.unit.lifecycle_model.orchestrator import Decided
from services.orchestrator.tests.unit.lifecycle_model.promises import OVER

from contracts.attempts import AttemptFailed, AttemptReport, AttemptStageChanged, AttemptStarted, AttemptSucceeded
from contracts.jobs import JobCancelRequested, JobRequested
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import Dispatch, ExecutionOverdue, LeaseLapsed, QueueDeadlinePassed, Verdict
from orchestrator.job import Attempt

REFUSED = {Verdict.FENCED, Verdict.TERMINAL, Verdict.UNKNOWN_JOB}


def judge(it: Decided) -> None:
    applied = it.verdict is Verdict.APPLIED
    _only_what_is_applied_changes_something(it, applied)
    if it.before is not None and it.before.status in OVER:
        expected = Verdict.DUPLICATE if isinstance(it.message, JobRequested) else Verdict.TERMINAL
        assert it.verdict is expected, "a job that is over was moved"
    match it.message:
        case JobRequested():
            assert applied == (it.before is None), "a request counts once"
            assert applied or it.told_in_full, "whoever asks again must be told everything again"
        case JobCancelRequested():
            _judge_cancel(it, it.message)
        case AttemptReport():
            _judge_report(it, it.message)
        case Dispatch():
            assert applied == _may_be_dispatched(it), "dispatched too early, twice, or not at all"
        case QueueDeadlinePassed():
            assert applied == _has_waited_too_long(it), "failed too early, or waits for ever"
        case LeaseLapsed() | ExecutionOverdue():
            assert applied == _is_due(it, it.message), (
                "an attempt is taken away if and only if its lease or its time is over"
            )


def _only_what_is_applied_changes_something(it: Decided, applied: bool) -> None:
    assert applied or (it.after is it.before and not it.events), f"{it.verdict}, and yet it changed something"
    seq_before = 0 if it.before is None else it.before.seq
    seq_after = 0 if it.after is None else it.after.seq
    assert [event.seq for event in it.events] == list(range(seq_before + 1, seq_after + 1)), "misnumbered events"
    wish_was_known = it.before is not None and it.before.cancel_requested
    assert not wish_was_known or (it.after is not None and it.after.cancel_requested), "a wish to cancel was forgotten"


def _judge_cancel(it: Decided, message: JobCancelRequested) -> None:
    if it.before is None or it.before.status in OVER:
        return
    assert it.after is not None
    if message.user_id != it.before.spec.user_id:
        assert it.verdict is Verdict.FOREIGN, "a stranger cancelled a job"
    elif it.before.status is JobStatus.RUNNING:
        assert it.after.cancel_requested, "a wish to cancel was not noted"
        assert _tells_holder_to_stop(it), "the worker was not told to stop"
    else:
        assert it.after.status is JobStatus.CANCELLED, "a job that does not run is cancelled at once"


def _judge_report(it: Decided, report: AttemptReport) -> None:
    current = _current(it)
    holds = (
        current is not None
        and current.attempt_id == report.attempt_id
        and (current.status is AttemptStatus.DISPATCHED or current.worker_id == report.worker_id)
    )
    if not holds:
        assert it.verdict in REFUSED, "somebody spoke for an attempt that is not theirs, and was heard"
        must_let_go = isinstance(report, AttemptStarted | AttemptStageChanged)
        told = [(abort.worker_id, abort.attempt_id) for abort in it.aborts]
        assert told == [(report.worker_id, report.attempt_id)] * must_let_go, (
            "who must let go is told so, and nobody else"
        )
        return
    assert not it.aborts, "the holder of an attempt was told to let go of it"
    assert it.verdict in {Verdict.APPLIED, Verdict.DUPLICATE}, "the holder of an attempt was not heard"
    if isinstance(report, AttemptSucceeded):
        assert it.after is not None
        assert it.after.status is JobStatus.SUCCEEDED, "a result was lost"
        assert it.after.winning_attempt_id == report.attempt_id, "the result is another's"
    if isinstance(report, AttemptFailed):
        assert it.after is not None
        assert it.after.current is None, "an attempt goes on after its worker gave it up"


def _may_be_dispatched(it: Decided) -> bool:
    job = it.before
    if job is None or job.status is not JobStatus.QUEUED or job.current is not None:
        return False
    return job.not_before is None or job.not_before <= it.at


def _has_waited_too_long(it: Decided) -> bool:
    job = it.before
    if job is None or job.status is not JobStatus.QUEUED:
        return False
    return job.queue_deadline_at is not None and job.queue_deadline_at <= it.at


def _is_due(it: Decided, timer: LeaseLapsed | ExecutionOverdue) -> bool:
    current = _current(it)
    if current is None or current.attempt_id != timer.attempt_id or current.status is not AttemptStatus.STARTED:
        return False
    due_at = current.lease_expires_at if isinstance(timer, LeaseLapsed) else current.deadline_at
    assert due_at is not None, "an attempt runs without a lease or a deadline"
    is_due = due_at <= it.at
    assert not is_due or _tells_holder_to_stop(it), "a worker was not told that it lost its attempt"
    return is_due


def _tells_holder_to_stop(it: Decided) -> bool:
    current = _current(it)
    assert current is not None
    return [(abort.worker_id, abort.attempt_id) for abort in it.aborts] == [(current.worker_id, current.attempt_id)]


def _current(it: Decided) -> Attempt | None:
    return None if it.before is None else it.before.current
