"""Which attempts this worker holds, and what became of those it held lately."""

from collections.abc import Iterator

from contracts.attempts import AttemptFailed, AttemptSucceeded
from contracts.cloudevents import CloudEvent
from contracts.ids import AttemptId
from gpu_worker.attempt import Attempt

OutcomeEvent = CloudEvent[AttemptSucceeded] | CloudEvent[AttemptFailed]

_REMEMBERED_OUTCOMES = 1000


class HeldAttempts:
    """From the claim until the outcome is confirmed.

    Outcomes are remembered beyond that, so that whoever did not hear one can be told again. Those that were dear are kept:
    heartbeats go on naming their attempts, which keeps the lease, until the orchestrator answers that they are over.
    """

    def __init__(self) -> None:
        self._held: dict[AttemptId, Attempt] = {}
        self._outcomes: dict[AttemptId, OutcomeEvent] = {}
        self._kept: dict[AttemptId, OutcomeEvent] = {}

    def __iter__(self) -> Iterator[Attempt]:
        return iter(tuple(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    @property
    def named(self) -> tuple[AttemptId, ...]:
        """Those whose lease is to be renewed: not those that were given up as lost."""
        return (*(attempt.attempt_id for attempt in self._held.values() if not attempt.is_lost), *self._kept)

    @property
    def kept(self) -> tuple[OutcomeEvent, ...]:
        return tuple(self._kept.values())

    def find(self, attempt_id: AttemptId) -> Attempt | None:
        return self._held.get(attempt_id)

    def outcome(self, attempt_id: AttemptId) -> OutcomeEvent | None:
        return self._outcomes.get(attempt_id) or self._kept.get(attempt_id)

    def add(self, attempt: Attempt) -> None:
        self._held[attempt.attempt_id] = attempt

    def forget(self, attempt_id: AttemptId) -> None:
        """Does nothing for one that is not held."""
        self._held.pop(attempt_id, None)

    def conclude(self, attempt_id: AttemptId, outcome: OutcomeEvent, *, keep: bool) -> None:
        """The broker has its outcome. That the orchestrator gets it is another matter: see `keep`."""
        self._held.pop(attempt_id, None)
        self._outcomes[attempt_id] = outcome
        if keep:
            self._kept[attempt_id] = outcome
        if len(self._outcomes) > _REMEMBERED_OUTCOMES:
            del self._outcomes[next(iter(self._outcomes))]

    def let_go(self, attempt_id: AttemptId) -> None:
        """The orchestrator has the outcome, or will never want it."""
        self._kept.pop(attempt_id, None)
