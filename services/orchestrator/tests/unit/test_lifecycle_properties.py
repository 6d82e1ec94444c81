"""Whatever is said, in whatever order and however often, and whatever the clock does: this holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from services.orchestrator.tests.builders import (
    OTHER_WORKER,
    OWNER,
    RULES,
    STRANGER,
    T0,
    WORKER,
    a_spec,
    cancel,
    failed,
    requested,
    stage_changed,
    started,
    succeeded,
)

from contracts.failures import FailureCode
from contracts.ids import AttemptId, WorkerId
from contracts.jobs import JobEvent
from contracts.states import AttemptStatus, JobStatus, Stage
from orchestrator.decision import Decision, Dispatch, ExecutionOverdue, Input, LeaseLapsed, QueueDeadlinePassed, Verdict
from orchestrator.job import Attempt, Job
from orchestrator.lifecycle import decide

SPEC = a_spec(UUID(int=1), max_attempts=3, queue_timeout_seconds=600, execution_timeout_seconds=30)
JOB = SPEC.job_id


@dataclass(slots=True)
class World:
    """A job, everything that was said to it, and everything it told."""

    job: Job | None = None
    now: datetime = T0
    dispatched: list[AttemptId] = field(default_factory=list)
    said: list[tuple[Input, Verdict]] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    ended: list[Attempt] = field(default_factory=list)

    def attempt(self, age: int) -> AttemptId:
        """The `age`-th latest attempt that was ever chosen, or one that never was."""
        return self.dispatched[-1 - age] if age < len(self.dispatched) else AttemptId(UUID(int=999))

    def say(self, message: Input) -> Decision:
        decided = decide(self.job, message, self.now, RULES)
        if isinstance(message, Dispatch) and decided.verdict is Verdict.APPLIED:
            self.dispatched.append(message.attempt_id)
        self.said.append((message, decided.verdict))
        self.events += decided.events
        self.ended += [decided.ended] if decided.ended is not None else []
        self.job = decided.job
        return decided


Step = Callable[[World], Input]


def reports(make: Callable[[AttemptId, WorkerId], Input]) -> list[Step]:
    """Said of the current attempt or an earlier one, by either worker."""
    return [
        lambda world, age=age, worker=worker: make(world.attempt(age), worker)  # type: ignore[misc]  # bound early
        for age, worker in product([0, 1, 2], [WORKER, OTHER_WORKER])
    ]


def said_again(age: int) -> Step:
    """What the bus may deliver twice: everything but a Dispatch, which is no message and never has the same attempt again."""

    def again(world: World) -> Input:
        delivered = [message for message, _ in world.said if not isinstance(message, Dispatch)]
        return delivered[-1 - age] if age < len(delivered) else requested(SPEC)

    return again


def onward(world: World) -> Input:
    """What keeps a job going, so that scripts get far: the next attempt, its start, its end without a result."""
    current = world.job.current if world.job is not None else None
    if current is None:
        return Dispatch(JOB, AttemptId(UUID(int=1000 + len(world.said))))
    if current.status is AttemptStatus.DISPATCHED:
        return started(JOB, current.attempt_id)
    code = FailureCode.OUT_OF_MEMORY if len(world.said) % 2 else FailureCode.WORKER_SHUTDOWN
    return failed(JOB, current.attempt_id, code)


TROUBLE: list[Step] = [
    *reports(lambda attempt, worker: started(JOB, attempt, worker)),
    *reports(lambda attempt, worker: stage_changed(JOB, attempt, worker, Stage.TEXTURE)),
    *reports(lambda attempt, worker: stage_changed(JOB, attempt, worker, Stage.EXPORT)),
    *reports(lambda attempt, worker: succeeded(JOB, attempt, worker)),
    *reports(lambda attempt, worker: failed(JOB, attempt, FailureCode.INVALID_IMAGE, worker)),
    *reports(lambda attempt, worker: failed(JOB, attempt, FailureCode.CANCELLED, worker)),
    *reports(lambda attempt, _: LeaseLapsed(JOB, attempt)),
    *reports(lambda attempt, _: ExecutionOverdue(JOB, attempt)),
    *map(said_again, range(8)),
    lambda _: requested(SPEC),
    lambda _: cancel(JOB, STRANGER),
    lambda _: cancel(JOB, OWNER),
    lambda _: QueueDeadlinePassed(JOB),
]
steps = st.booleans().flatmap(lambda smooth: st.just(onward) if smooth else st.sampled_from(TROUBLE))
clock_moves = st.sampled_from([timedelta(seconds=seconds) for seconds in (0, 1, 20, 20, 100, -60)])
scripts = st.lists(st.tuples(steps, clock_moves), min_size=8, max_size=30)
quick = settings(max_examples=50, deadline=None)


def played(script: list[tuple[Step, timedelta]], *, requested_first: bool = True) -> World:
    world = World()
    if requested_first:
        world.say(requested(SPEC))
    for step, clock_move in script:
        world.now += clock_move
        world.say(step(world))
    return world


@quick
@given(scripts)
def test_the_events_are_numbered_without_a_gap(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script, requested_first=False)
    assert [event.seq for event in world.events] == list(range(1, len(world.events) + 1))
    assert (world.job.seq if world.job is not None else 0) == len(world.events)


@quick
@given(scripts)
def test_the_last_event_alone_says_how_the_job_stands(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script)
    assert world.job is not None
    assert world.events[-1].state == world.job.state


@quick
@given(scripts)
def test_a_job_that_is_over_never_changes_again(script: list[tuple[Step, timedelta]]) -> None:
    world = World()
    world.say(requested(SPEC))
    for step, clock_move in script:
        before = world.job
        world.now += clock_move
        world.say(step(world))
        if before is not None and before.status.is_terminal:
            assert world.job is before


@quick
@given(scripts)
def test_a_job_has_at_most_one_result_and_only_if_it_succeeded(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script)
    assert world.job is not None
    winners = [attempt.attempt_id for attempt in world.ended if attempt.status is AttemptStatus.SUCCEEDED]
    assert winners == ([world.job.winning_attempt_id] if world.job.status is JobStatus.SUCCEEDED else [])
    assert (world.job.error is not None) == (world.job.status is JobStatus.FAILED)
    assert (world.job.completed_at is not None) == world.job.status.is_terminal


@quick
@given(scripts)
def test_attempts_come_one_after_the_other_and_end_once(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script)
    assert world.job is not None
    current = [world.job.current] if world.job.current is not None else []
    assert [attempt.attempt_id for attempt in [*world.ended, *current]] == world.dispatched
    assert [attempt.number for attempt in [*world.ended, *current]] == list(range(1, len(world.dispatched) + 1))
    assert all(attempt.status.is_over for attempt in world.ended)
    assert not any(attempt.status.is_over for attempt in current)


@quick
@given(scripts)
def test_no_more_attempts_fail_than_the_policy_allows(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script)
    assert world.job is not None
    assert 0 <= world.job.attempts_made - world.job.handbacks <= SPEC.policy.max_attempts


@quick
@given(scripts)
def test_what_was_applied_once_is_not_applied_again_however_late(script: list[tuple[Step, timedelta]]) -> None:
    world = played(script)
    for message, verdict in list(world.said):
        # A stage may come back, and the dispatcher never uses an attempt's id twice.
        if verdict is Verdict.APPLIED and not hasattr(message, "stage") and not isinstance(message, Dispatch):
            again = decide(world.job, message, world.now, RULES)
            assert again.verdict is not Verdict.APPLIED
            assert again.job is world.job


@quick
@given(scripts)
def test_a_message_delivered_twice_in_a_row_changes_nothing_the_second_time(
    script: list[tuple[Step, timedelta]],
) -> None:
    world = World()
    for step, clock_move in script:
        world.now += clock_move
        message = step(world)
        world.say(message)
        told = len(world.events)
        before = world.job
        assert world.say(message).verdict is not Verdict.APPLIED
        assert (world.job, len(world.events)) == (before, told)
