"""GET /jobs/{id}, the route that is polled: everything asked at the same moment is read by one query."""

from collections.abc import Sequence
from uuid import UUID

from contracts.ids import JobId
from gateway.job_view import JobView
from gateway.store.job_views import JobViewReader
from gateway.user import User
from service_kit.batcher import Batcher
from service_kit.problems import Problem

_CANONICAL_LENGTH = 36


class ReadJobs:
    def __init__(self, views: JobViewReader) -> None:
        self._views = views
        self._reads: Batcher[JobId, JobView | None] = Batcher(self._read, max_batch=500)

    async def owned(self, user: User, job_id: str) -> JobView:
        """The user's own job. Raises 404 if no job has this id, whatever it looks like, and 403 if it is somebody else's."""
        parsed = _parsed(job_id)
        view = await self.find(parsed) if parsed is not None else None
        if view is None:
            raise Problem(404, "job_not_found", "There is no job with this id.")
        if view.user_id != user.id:
            raise Problem(403, "not_your_job", "This job belongs to somebody else.")
        return view

    async def find(self, job_id: JobId) -> JobView | None:
        return await self._reads.submit(job_id)

    async def _read(self, job_ids: Sequence[JobId]) -> list[JobView | None]:
        views = await self._views.find(job_ids)
        return [views.get(job_id) for job_id in job_ids]


def _parsed(job_id: str) -> JobId | None:
    if len(job_id) != _CANONICAL_LENGTH:
        return None
    try:
        return JobId(UUID(job_id))
    except ValueError:
        return None
