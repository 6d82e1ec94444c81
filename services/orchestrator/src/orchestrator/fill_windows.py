"""The dispatcher: puts waiting jobs' attempts on the bus as far as the windows allow, inside the commit that made room."""

from collections.abc import Set as AbstractSet

from contracts.ids import ModelId
from contracts.states import AttemptStatus
from orchestrator import store
from orchestrator.availability import Availability
from orchestrator.fold import Fold
from orchestrator.scheduling import choose, window_room
from service_kit.database import Connection
from service_kit.ids import new_uuid


class FillWindows:
    """Remembers which models had a backlog when it last looked, so that a commit with nothing to dispatch asks nothing.

    What another replica left waiting is not remembered here; the clock's regular look (`anyway`) finds it.
    """

    def __init__(self, availability: Availability, *, window_per_slot: float) -> None:
        self._availability = availability
        self._window_per_slot = window_per_slot
        self._backlogged: set[ModelId] = set()

    async def __call__(self, connection: Connection, fold: Fold, anyway: AbstractSet[ModelId]) -> None:
        """Dispatches into the fold. `anyway`: models to look at whatever is remembered of them."""
        for model_id in sorted((fold.touched_models() | anyway) & self._availability.served):
            look_in_store = model_id in anyway or model_id in self._backlogged
            if look_in_store or fold.waiting(model_id):
                await self._fill(connection, fold, model_id, look_in_store=look_in_store)

    async def _fill(self, connection: Connection, fold: Fold, model_id: ModelId, *, look_in_store: bool) -> None:
        dispatched = fold.usage_change(model_id, AttemptStatus.DISPATCHED)
        active = fold.usage_change(model_id, AttemptStatus.STARTED)
        active.update(dispatched)  # not `+`, which drops what is negative: attempts that ended in this batch
        for user in await store.usage(connection, model_id):
            dispatched[user.user_id] += user.dispatched
            active[user.user_id] += user.active
        room = window_room(self._availability.slots(model_id), self._window_per_slot, dispatched.total())
        candidates = fold.waiting(model_id)
        if look_in_store and room > 0:
            # One more than there is room for, to see whether any will be left.
            stored = await store.waiting(connection, model_id, fold.now, room + 1)
            candidates += [candidate for candidate in stored if candidate.job_id not in fold.jobs]
        chosen = choose(candidates, active, room)
        if len(chosen) < len(candidates) or room == 0:
            self._backlogged.add(model_id)
        else:
            self._backlogged.discard(model_id)
        unknown = [candidate.job_id for candidate in chosen if candidate.job_id not in fold.jobs]
        if unknown:
            fold.load(await store.load_jobs(connection, unknown))
        for candidate in chosen:
            fold.dispatch(candidate.job_id, new_uuid())
