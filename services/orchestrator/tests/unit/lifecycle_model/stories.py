"""The rules that Hypothesis strings together to stories of jobs. Each is a sentence, and so is every failing run made of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from services.orchestrator.tests.builders import OWNER, a_spec
from services.orchestrator.tests.unit.lifecycle_model.bus import take, take_all
from services.orchestrator.tests.unit.lifecycle_model.deeds import (
    BusDeed,
    GatewayDeed,
    OrchestratorDeed,
    WorkerDeed,
    bus_deeds,
    gateway_deeds,
    orchestrator_deeds,
    pick,
    worker_deeds,
)
from services.orchestrator.tests.unit.lifecycle_model.orchestrator import Fate
from services.orchestrator.tests.unit.lifecycle_model.world import MODELS, World

from contracts.ids import AttemptId, JobId, ModelId, UserId
from orchestrator.decision import ExecutionOverdue, LeaseLapsed, QueueDeadlinePassed, Timer

MOST_OPEN_JOBS = 3
NEIGHBOUR = UserId(UUID(int=0xC))


def queue_deadline_passed(job_id: JobId, _attempt_id: AttemptId) -> Timer:
    return QueueDeadlinePassed(job_id)


anyone = st.integers(0, 63)
"""Which of those there are, be it a message, a job or a worker: it wraps around."""
some = st.lists(anyone, min_size=1, max_size=6)
policies = st.fixed_dictionaries(
    {
        "max_attempts": st.integers(1, 3),
        "queue_timeout_seconds": st.sampled_from([None, 30.0, 3.0]),
        "execution_timeout_seconds": st.sampled_from([30.0, 1.0]),
        "retry_backoff_seconds": st.sampled_from([0.0, 2.0, 60.0]),
    }
)
spans = st.sampled_from([timedelta(seconds=seconds) for seconds in (1, 12, 16, 100, 86_400)])
timers = st.sampled_from([LeaseLapsed, ExecutionOverdue, queue_deadline_passed])
clocks_behind = st.sampled_from([timedelta(seconds=seconds) for seconds in (0, 1, 20, 60)])
fates = st.one_of(st.just(Fate.WELL), st.sampled_from(Fate))


def _world(machine: object) -> World:
    return cast("Stories", machine).world


there_is_room_for_a_job = precondition(lambda it: _world(it).number_of_open_jobs < MOST_OPEN_JOBS)
a_job_is_not_known_to_be_over = precondition(lambda it: bool(_world(it).gateway.open_jobs))
an_attempt_was_made = precondition(lambda it: bool(_world(it).database.attempts))
something_is_under_way = precondition(lambda it: any(_world(it).bus.queues))
something_is_to_be_heard = precondition(lambda it: bool(_world(it).bus.to_orchestrator))
an_event_is_under_way = precondition(lambda it: bool(_world(it).bus.events))
an_abort_is_under_way = precondition(lambda it: bool(_world(it).bus.aborts))
a_job_is_open = precondition(lambda it: _world(it).number_of_open_jobs > 0)


class Stories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(policy=policies)
    def there_is_a_first_job(self, policy: dict[str, Any]) -> None:
        self.a_client_asks_for_a_job(policy, MODELS[0], OWNER)

    @rule(policy=policies, model_id=st.sampled_from(MODELS), user_id=st.sampled_from([OWNER, NEIGHBOUR]))
    @there_is_room_for_a_job
    def a_client_asks_for_a_job(self, policy: dict[str, Any], model_id: ModelId, user_id: UserId) -> None:
        job_id = UUID(int=0xA000 + len(self.world.gateway.accepted))
        self.world.gateway.accept(a_spec(job_id, user_id=user_id, model_id=model_id, **policy))

    @rule(deed=gateway_deeds, job=anyone)
    @a_job_is_not_known_to_be_over
    def the_gateway(self, deed: GatewayDeed, job: int) -> None:
        deed(self.world, pick(self.world.gateway.open_jobs, job))

    @rule(events=some)
    @an_event_is_under_way
    def the_gateway_hears_of_events(self, events: list[int]) -> None:
        for event in events[: len(self.world.bus.events)]:
            self.world.gateway.hear(take(self.world.bus.events, event))

    @rule(deed=bus_deeds, message=anyone)
    @something_is_under_way
    def the_bus(self, deed: BusDeed, message: int) -> None:
        deed(self.world, message)

    @rule(messages=some, room=st.integers(0, 3), behind=clocks_behind, fate=fates)
    @something_is_to_be_heard
    def the_orchestrator_hears_a_batch(self, messages: list[int], room: int, behind: timedelta, fate: Fate) -> None:
        queue = self.world.bus.to_orchestrator
        batch = [take(queue, message) for message in messages[: len(queue)]]
        self.world.orchestrator.hear(batch, self.world.now - behind, room=room, fate=fate)

    @rule(deed=orchestrator_deeds)
    @a_job_is_open
    def the_orchestrator(self, deed: OrchestratorDeed) -> None:
        deed(self.world)

    @rule(timer=timers, attempt=anyone)
    @an_attempt_was_made
    def a_timer_fires_out_of_turn(self, timer: Callable[[JobId, AttemptId], Timer], attempt: int) -> None:
        attempt_id, job_id = pick(self.world.database.job_of_attempt.items(), attempt)
        self.world.bus.to_orchestrator.append(timer(job_id, attempt_id))

    @rule(worker=anyone, task=anyone, is_confirmed=st.booleans())
    @a_job_is_open
    def a_worker_claims_a_task(self, worker: int, task: int, is_confirmed: bool) -> None:
        if not self.world.bus.tasks:
            self.world.orchestrator.hear(take_all(self.world.bus.to_orchestrator), self.world.now, room=1)
        if self.world.bus.tasks:
            claiming, claimed = pick(self.world.live_workers, worker), take(self.world.bus.tasks, task)
            if is_confirmed:
                claiming.take(claimed)
            else:
                claiming.hand_back_unclaimed(claimed)

    @rule(deed=worker_deeds, which=anyone, overtakes=st.booleans())
    @a_job_is_open
    def a_worker(self, deed: WorkerDeed, which: int, overtakes: bool) -> None:
        if not self.world.running:
            self.world.bring_tasks_to_workers()
        if self.world.running:
            deed(self.world, *pick(self.world.running, which))
        if overtakes and self.world.bus.to_orchestrator:
            self.world.orchestrator.hear([self.world.bus.to_orchestrator.pop()], self.world.now, room=1)

    @rule(abort=anyone)
    @an_abort_is_under_way
    def a_worker_is_told_to_stop(self, abort: int) -> None:
        self.world.deliver_abort(abort)

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.world.pass_time(span)

    @rule()
    @something_is_under_way
    def all_goes_well_for_a_moment(self) -> None:
        self.world.deliver_everything()
