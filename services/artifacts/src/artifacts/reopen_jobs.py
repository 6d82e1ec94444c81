"""A job is queued whose id belonged to another, which is over.

An `Idempotency-Key` names its job for as long as gateway and orchestrator remember that. Used again after they forgot, it names a
new job with the same id: what is noted of the first must not fence the attempts of the second, nor have its files swept.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from artifacts.store import Store
from artifacts.sweep_store import SweepStore
from contracts.ids import JobId
from service_kit.errors import OperationalError

log = structlog.get_logger()


class SweepUnderWayError(OperationalError):
    """A sweep is at work on the earlier job of this id; it is over in a moment."""


_CLAIMED_FOR = timedelta(minutes=1)
_MARGIN = timedelta(minutes=5)
"""A job.queued that comes late, or again, was said before its job ended, by clocks that may differ."""


async def reopen_jobs(
    queued: Mapping[JobId, datetime], *, store: Store, sweeps: SweepStore, inputs_kept_for: timedelta
) -> None:
    """Forgets the earlier jobs of these ids. Their objects, if any are left, go with the losers' of the new one. Idempotent.

    Raises `SweepUnderWayError` while a sweep is removing one of them: it would take the new job's files along.
    """
    reopened = await store.find_reopened(queued, margin=_MARGIN)
    if not reopened:
        return
    claimed = await store.claim_reopened(reopened, claimed_for=_CLAIMED_FOR)
    if claimed:
        await sweeps.forget_jobs(claimed, inputs_kept_for=inputs_kept_for)
        log.info("artifacts.job.reopened", count=len(claimed), first_job_id=str(claimed[0]))
    if len(claimed) < len(reopened):
        raise SweepUnderWayError
