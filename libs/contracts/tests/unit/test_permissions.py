"""What the patterns let through. That RabbitMQ understands them so is tried on a real one, by the service kit's tests."""

import re

import pytest

from contracts import topology
from contracts.ids import ModelId, WorkerId
from contracts.permissions import SERVICES, BusUser, grants_of, must_be_there_for
from contracts.topology import PUBLISHED_BY, PUBLISHED_ON, DeadLetterQueue, Exchange

TASKS = topology.worker_tasks(ModelId("sf3d-v1.5"))
CONTROL = topology.worker_control(WorkerId("host-1-ab"))
TELEMETRY = topology.gateway_telemetry("0af3")
QUEUES = (*topology.SHARED_QUEUES, TASKS, CONTROL, TELEMETRY)

each_user = pytest.mark.parametrize("user", BusUser)


@each_user
def test_a_service_may_make_read_and_fill_its_own_queues_and_nobody_elses(user: BusUser) -> None:
    grants = grants_of(user)
    for queue in QUEUES:
        own = queue.owner == user
        assert bool(re.search(grants.configure, queue.name)) is own, queue.name
        assert bool(re.search(grants.write, queue.name)) is own, queue.name


def test_a_queue_is_read_by_the_service_after_which_it_is_named() -> None:
    for queue in QUEUES:
        readers = {user for user in BusUser if re.search(grants_of(user).read, queue.name)}
        assert readers == {queue.name.partition(".")[0]}, queue.name


def test_dead_letters_are_read_by_the_operator_alone() -> None:
    for queue in QUEUES:
        name = DeadLetterQueue(queue).name
        assert [user for user in BusUser if re.search(grants_of(user).read, name)] == [BusUser.OPERATOR]


def test_every_message_may_be_published_by_who_says_it_and_by_nobody_else() -> None:
    keys = {message: message.routing_key for message in PUBLISHED_ON}
    keys |= {message: queue.binding_keys[0] for queue in (TASKS, CONTROL) for message in queue.hears}
    for message, exchange in PUBLISHED_ON.items():
        may = {user for user in BusUser if re.search(grants_of(user).topic_write(exchange), keys[message])}
        assert may == {PUBLISHED_BY[message]}, message.__name__
        assert all(re.search(grants_of(user).write, exchange.value) for user in may)


@each_user
@pytest.mark.parametrize(
    "wildcard", ["#", "*.*", "job.#", "job.*", "attempt.#", "attempt.run.#", "attempt.abort.*", "worker.#"]
)
def test_nobody_may_listen_to_more_than_is_named(user: BusUser, wildcard: str) -> None:
    assert not any(re.search(grants_of(user).topic_read(exchange), wildcard) for exchange in Exchange)


@each_user
def test_only_the_operator_may_put_something_into_any_queue(user: BusUser) -> None:
    assert bool(re.search(grants_of(user).write, "amq.default")) is (user is BusUser.OPERATOR)


def test_a_service_waits_for_the_queues_of_those_it_speaks_to() -> None:
    waits = {service: {queue.name for queue in must_be_there_for(service)} for service in SERVICES}
    assert waits == {
        "gateway": {"orchestrator.requests"},
        "orchestrator": {"gateway.projection", "artifacts.inputs", "artifacts.outcomes"},
        "gpu-worker": {"orchestrator.reports", "orchestrator.worker-heartbeats"},
        "artifacts": set(),
    }
