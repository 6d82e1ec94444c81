"""The orchestrator wants attempts stopped: cancelled, out of time, or no longer current."""

import asyncio
from collections.abc import Sequence

import structlog

from contracts.attempts import AbortAttempt
from contracts.failures import FailureCode
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.reports import Reports

log = structlog.get_logger()

_MESSAGES = {
    FailureCode.CANCELLED: "the job was cancelled",
    FailureCode.EXECUTION_TIMEOUT: "the attempt ran longer than it may",
    FailureCode.WORKER_LOST: "the attempt had been given to another worker",
}


async def abort_attempts(aborts: Sequence[AbortAttempt], held: HeldAttempts, reports: Reports) -> None:
    """Returns when their engines have let go. One whose outcome is decided is left alone."""
    await asyncio.gather(*(_abort(abort, held, reports) for abort in aborts))


async def _abort(abort: AbortAttempt, held: HeldAttempts, reports: Reports) -> None:
    attempt = held.find(abort.attempt_id)
    if attempt is not None:
        log.info("gpu_worker.attempt.aborted", **_ids(abort), reason=abort.reason)
        await attempt.stop(abort.reason, _MESSAGES.get(abort.reason, f"the attempt was aborted: {abort.reason}"))
    elif abort.reason is FailureCode.CANCELLED:
        await _answer(abort, held, reports)
    else:
        held.let_go(abort.attempt_id)


async def _answer(abort: AbortAttempt, held: HeldAttempts, reports: Reports) -> None:
    """A cancelled job waits for its worker to let go. It would wait for the lease if the outcome was lost on its way, or if the
    attempt never ran here: its start was heard although the broker did not confirm it."""
    outcome = held.outcome(abort.attempt_id)
    log.info("gpu_worker.abort.answered", **_ids(abort), concluded=outcome is not None)
    if outcome is None:
        await reports.not_held(abort)
    else:
        await reports.outcome(outcome)


def _ids(abort: AbortAttempt) -> dict[str, str]:
    return {"job_id": str(abort.job_id), "attempt_id": str(abort.attempt_id)}
