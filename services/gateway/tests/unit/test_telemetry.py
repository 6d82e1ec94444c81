"""Progress and heartbeats: bounded, forgetful, never wrong about which attempt they are of."""

from datetime import UTC, datetime
from uuid import UUID

from contracts.attempts import AttemptProgressed
from contracts.ids import AttemptId, JobId, ModelId, WorkerId
from contracts.states import Stage
from contracts.workers import ServedModel, WorkerHeartbeat
from gateway.progress import Progress, ProgressBoard
from gateway.served_models import ServedModels

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def report(percent: float, *, job: int = 1, attempt: int = 1, stage: Stage = Stage.TEXTURE) -> AttemptProgressed:
    return AttemptProgressed(
        job_id=JobId(UUID(int=job)),
        attempt_id=AttemptId(UUID(int=attempt)),
        worker_id=WorkerId("w"),
        reported_at=NOW,
        attempt=attempt,
        stage=stage,
        percent=percent,
    )


def test_percent_never_falls_within_an_attempt_and_starts_over_with_the_next() -> None:
    board, job_id = ProgressBoard(), JobId(UUID(int=1))
    board.hear(report(50))
    board.hear(report(40, stage=Stage.SEGMENT))
    assert board.of(job_id, 1) == Progress(1, 50, Stage.TEXTURE)
    board.hear(report(5, attempt=2))
    assert board.of(job_id, 2) == Progress(2, 5, Stage.TEXTURE)
    board.hear(report(90, attempt=1))
    assert board.of(job_id, 2) == Progress(2, 5, Stage.TEXTURE)
    assert board.of(job_id, 1) is None
    board.forget(job_id)
    assert board.of(job_id, 2) is None


def test_board_forgets_the_job_not_heard_of_for_longest() -> None:
    board = ProgressBoard(capacity=2)
    for job in (1, 2, 1, 3):
        board.hear(report(1, job=job))
    assert len(board) == 2
    assert board.of(JobId(UUID(int=2)), 1) is None


def heartbeat(worker: str, *models: str, stopping: bool = False) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        worker_id=WorkerId(worker),
        models=tuple(ServedModel(model_id=ModelId(model), slots=1) for model in models),
        attempts=(),
        stopping=stopping,
        interval_seconds=2,
        sent_at=NOW,
    )


def test_model_is_served_until_three_heartbeats_are_missed_or_its_worker_stops() -> None:
    served = ServedModels()
    served.hear(heartbeat("one", "a", "b"), now=100)
    served.hear(heartbeat("two", "b"), now=103)
    assert served.at(105.9) == {"a", "b"}
    assert served.at(106) == {"b"}
    served.hear(heartbeat("two", "b", stopping=True), now=106)
    assert served.at(106) == set()
