"""How many slots the live workers have, per model."""

from collections.abc import Mapping

from contracts.ids import ModelId

MISSED_HEARTBEATS = 3.0
"""So many, and a worker no longer counts as one that can take attempts."""


class Availability:
    """The latest count, read from the `workers` table by a loop; empty until first read."""

    def __init__(self) -> None:
        self._slots: Mapping[ModelId, int] = {}

    @property
    def served(self) -> set[ModelId]:
        return {model_id for model_id, slots in self._slots.items() if slots > 0}

    def slots(self, model_id: ModelId) -> int:
        return self._slots.get(model_id, 0)

    def update(self, slots: Mapping[ModelId, int]) -> set[ModelId]:
        """Models with more slots than before: there may be work for them."""
        grown = {model_id for model_id, count in slots.items() if count > self.slots(model_id)}
        self._slots = dict(slots)
        return grown
