"""GET /jobs: the caller's jobs, newest first, a page at a time."""

from dataclasses import dataclass

from contracts.states import JobStatus
from gateway.cursor import Cursor
from gateway.job_view import JobView
from gateway.store.job_views import JobViewReader
from gateway.user import User


@dataclass(frozen=True, slots=True)
class Page:
    views: list[JobView]
    next_cursor: str | None
    """None: this was the last page."""


async def list_jobs(
    views: JobViewReader, user: User, *, cursor: str | None, status: JobStatus | None, model_id: str | None, limit: int
) -> Page:
    """A page of at most `limit` jobs. Jobs made meanwhile do not shift the pages. Raises 422 for a cursor that is not ours."""
    after = Cursor.decode(cursor, user.id) if cursor is not None else None
    found = await views.of_user(user.id, after=after, status=status, model_id=model_id, limit=limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return Page(page, Cursor(page[-1].created_at, page[-1].id).encode(user.id) if more else None)
