"""Jobs that were over long ago: all their outputs, then their rows. Their inputs are left to the sweep of uploads."""

from collections.abc import Sequence
from datetime import timedelta

from artifacts.object_names import folder_of
from artifacts.object_store import ObjectStore
from artifacts.sweep import Removal, Sweep
from artifacts.sweep_store import SweepStore
from contracts.ids import JobId


def job_sweep(
    store: SweepStore, objects: ObjectStore, *, kept_for: timedelta, inputs_kept_for: timedelta
) -> Sweep[JobId]:
    """`inputs_kept_for` after that an input goes too, unless another job uses it: a job that is being created just now may."""

    async def count_due() -> int:
        return await store.count_old_jobs(over_for=kept_for)

    async def claim(limit: int) -> Sequence[JobId]:
        return await store.claim_old_jobs(limit, over_for=kept_for)

    async def remove(job_id: JobId, removal: Removal) -> None:
        async for listed in objects.list(folder_of(job_id)):
            await removal.remove(listed.object_name, listed.size_bytes)

    async def forget(jobs: Sequence[JobId]) -> None:
        await store.forget_jobs(jobs, inputs_kept_for=inputs_kept_for)

    return Sweep("jobs", objects, count_due, claim, remove, forget)
