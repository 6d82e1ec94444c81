"""Outputs of attempts that did not win: lost, fenced or cancelled ones, or such as crashed before they registered anything.

Why no file of a winner can be among them: a job is over once, and that is never taken back; who won is noted with it, long before
anything is due; and only what lies in another attempt's folder is touched. Why all of theirs are: once the outcome is noted, no
grant is given for their folders any more, and the sweep waits until the last one has expired.
"""

from collections.abc import Sequence
from datetime import timedelta

from artifacts.object_names import folder_of, is_output_of_a_loser
from artifacts.object_store import ObjectStore
from artifacts.sweep import Removal, Sweep
from artifacts.sweep_store import EndedJob, SweepStore


def loser_sweep(store: SweepStore, objects: ObjectStore, *, kept_for: timedelta) -> Sweep[EndedJob]:
    """`kept_for` must be longer than a grant is valid."""

    async def count_due() -> int:
        return await store.count_unswept_jobs(over_for=kept_for)

    async def claim(limit: int) -> Sequence[EndedJob]:
        return await store.claim_unswept_jobs(limit, over_for=kept_for)

    async def remove(job: EndedJob, removal: Removal) -> None:
        async for listed in objects.list(folder_of(job.job_id)):
            if is_output_of_a_loser(listed.object_name, job.job_id, job.winners):
                await removal.remove(listed.object_name, listed.size_bytes)

    async def forget(jobs: Sequence[EndedJob]) -> None:
        await store.forget_losers([job.job_id for job in jobs])

    return Sweep("losers", objects, count_due, claim, remove, forget)
