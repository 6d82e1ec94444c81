"""The orchestrator wants attempts stopped: cancelled, out of time, or no longer current."""

import asyncio
from collections.abc import Sequence

import structlog

from contracts.attempts import AbortAttempt
from contracts.failures import FailureCode
from gpu_worker.held_attempts import HeldAttempts

log = structlog.get_logger()

_MESSAGES = {
    FailureCode.CANCELLED: "the job was cancelled",
    FailureCode.EXECUTION_TIMEOUT: "the attempt ran longer than it may",
    FailureCode.WORKER_LOST: "the attempt had been given to another worker",
}


async def abort_attempts(aborts: Sequence[AbortAttempt], held: HeldAttempts) -> None:
    """Returns when their engines have let go. An attempt that is not here, or whose outcome is decided, is left alone."""
    await asyncio.gather(*(_abort(abort, held) for abort in aborts))


async def _abort(abort: AbortAttempt, held: HeldAttempts) -> None:
    attempt = held.find(abort.attempt_id)
    if attempt is None:
        log.info("gpu_worker.abort.ignored", attempt_id=str(abort.attempt_id))
        return
    log.info("gpu_worker.attempt.aborted", attempt_id=str(abort.attempt_id), reason=abort.reason)
    await attempt.stop(abort.reason, _MESSAGES.get(abort.reason, f"the attempt was aborted: {abort.reason}"))
