"""Which attempts this worker holds, and what became of those it held lately."""

from collections.abc import Iterator

from contracts.attempts import AttemptFailed, AttemptSucceeded
from contracts.cloudevents import CloudEvent
from contracts.ids import AttemptId
from gpu_worker.attempt import Attempt

OutcomeEvent = CloudEvent[AttemptSucceeded] | CloudEvent[AttemptFailed]

_REMEMBERED_OUTCOMES = 1000


class HeldAttempts:
    """From the claim until the outcome is confirmed: these are the attempts that heartbeats name.

    Outcomes are remembered beyond that, so that a second copy of a `RunAttempt` is answered and not run again.
    """

    def __init__(self) -> None:
        self._held: dict[AttemptId, Attempt] = {}
        self._outcomes: dict[AttemptId, OutcomeEvent] = {}

    def __iter__(self) -> Iterator[Attempt]:
        return iter(tuple(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    @property
    def ids(self) -> tuple[AttemptId, ...]:
        return tuple(self._held)

    def find(self, attempt_id: AttemptId) -> Attempt | None:
        return self._held.get(attempt_id)

    def outcome(self, attempt_id: AttemptId) -> OutcomeEvent | None:
        return self._outcomes.get(attempt_id)

    def add(self, attempt: Attempt) -> None:
        self._held[attempt.attempt_id] = attempt

    def forget(self, attempt_id: AttemptId) -> None:
        """No longer named by heartbeats. Does nothing for one that is not held."""
        self._held.pop(attempt_id, None)

    def conclude(self, attempt_id: AttemptId, outcome: OutcomeEvent) -> None:
        """Its outcome is confirmed."""
        self._held.pop(attempt_id, None)
        self._outcomes[attempt_id] = outcome
        if len(self._outcomes) > _REMEMBERED_OUTCOMES:
            self._outcomes.pop(next(iter(self._outcomes)))
