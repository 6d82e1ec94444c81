"""Uploads that no job uses: removed some time after their ticket has expired, or after their last job was forgotten."""

from artifacts.object_store import ObjectStore
from artifacts.sweep import Removal, Sweep
from artifacts.sweep_store import SweepStore
from contracts.ids import ObjectName


def upload_sweep(store: SweepStore, objects: ObjectStore) -> Sweep[ObjectName]:
    async def remove(object_name: ObjectName, removal: Removal) -> None:
        stored = await objects.head(object_name)
        # Many a ticket was never used.
        if stored is not None:
            await removal.remove(object_name, stored.size_bytes)

    return Sweep(
        name="uploads",
        objects=objects,
        count_due=store.count_due_uploads,
        claim=store.claim_uploads,
        remove=remove,
        forget=store.forget_uploads,
    )
