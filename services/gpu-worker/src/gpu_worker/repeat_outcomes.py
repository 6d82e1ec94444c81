"""Says a dear outcome again until the orchestrator has it. A broker that is reset has lost what it confirmed."""

from dataclasses import dataclass, replace
from time import monotonic

import structlog

from contracts.ids import AttemptId
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.metrics import REPEATED
from gpu_worker.reports import Reports
from service_kit.logging.ids import ids_of
from service_kit.loops import Loop

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 60.0
_GIVE_UP_AFTER_SECONDS = 3600.0


@dataclass(slots=True)
class _Said:
    at: float
    again_at: float


class RepeatOutcomes:
    """No outcome is ever answered. But a heartbeat that names an attempt which is over is: the worker is told to let go of it. So
    an attempt that is still kept two heartbeats after its outcome was said may not have been heard.

    To say it too often changes nothing, and that happens while reports wait longer than heartbeats do: hence the growing pauses.
    After an hour it is given up: an orchestrator that answers no heartbeat about an attempt has no such attempt.
    """

    def __init__(self, held: HeldAttempts, reports: Reports, *, interval_seconds: float) -> None:
        self._held = held
        self._reports = reports
        self._first_pause_seconds = 2 * interval_seconds
        self._said: dict[AttemptId, _Said] = {}
        self._loop = Loop("repeat outcomes", self._repeat, interval_seconds=interval_seconds / 2)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _repeat(self) -> None:
        now = monotonic()
        kept = {outcome.data.attempt_id: outcome for outcome in self._held.kept}
        just_said = _Said(now, now + self._first_pause_seconds)
        self._said = {attempt_id: self._said.get(attempt_id, replace(just_said)) for attempt_id in kept}
        for attempt_id, said in self._said.items():
            if now - said.at > _GIVE_UP_AFTER_SECONDS:
                log.error("gpu_worker.outcome.given_up", **ids_of([kept[attempt_id]]))
                self._held.let_go(attempt_id)
            elif now >= said.again_at:
                log.warning("gpu_worker.outcome.repeated", **ids_of([kept[attempt_id]]))
                REPEATED.inc()
                said.again_at = now + min(now - said.at, _LONGEST_PAUSE_SECONDS)
                await self._reports.outcome(kept[attempt_id])
