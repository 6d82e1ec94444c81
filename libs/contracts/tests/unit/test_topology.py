"""What must be true of the bus whatever is added to it."""

import re

import pytest
from libs.contracts.tests.unit.examples import EXAMPLES

from contracts import topology
from contracts.attempts import AbortAttempt, RunAttempt
from contracts.ids import ModelId, WorkerId
from contracts.jobs import JOB_EVENTS
from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind

MODEL, WORKER = ModelId("silhouette-v1"), WorkerId("w-1")
QUEUES: tuple[Queue, ...] = (
    *topology.SHARED_QUEUES,
    topology.gateway_telemetry("g-1"),
    topology.worker_tasks(MODEL),
    topology.worker_control(WORKER),
)
MESSAGES = [type(message) for message in EXAMPLES]
CONSUMERS = {"gateway", "orchestrator", "artifacts", "gpu-worker", "analytics"}

each_queue = pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
each_message = pytest.mark.parametrize("message_type", MESSAGES, ids=lambda message_type: message_type.__name__)


@each_message
def test_every_message_is_published_somewhere_and_heard_by_somebody(message_type: type) -> None:
    exchange = topology.PUBLISHED_ON[message_type]
    assert any(message_type in queue.hears and queue.exchange is exchange for queue in QUEUES)


@each_message
def test_routing_keys_are_a_noun_and_a_verb(message_type: type) -> None:
    assert re.fullmatch(r"(job|attempt|worker)\.[a-z_]+", message_type.routing_key)  # type: ignore[attr-defined]  # Message


@each_queue
def test_a_queue_is_named_after_its_consumer(queue: Queue) -> None:
    consumer, _, what = queue.name.partition(".")
    assert consumer in CONSUMERS
    assert what


@each_queue
def test_what_a_queue_hears_is_published_on_the_exchange_it_is_bound_to(queue: Queue) -> None:
    assert {topology.PUBLISHED_ON[message_type] for message_type in queue.hears} == {queue.exchange}


@each_queue
def test_a_queue_that_must_lose_nothing_limits_deliveries_and_has_dead_letters(queue: Queue) -> None:
    if not queue.keeps_dead_letters:
        return
    arguments = queue.arguments
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-delivery-limit"] == topology.DELIVERY_LIMIT  # 3.10 has none unless told, 4.x has 20
    assert arguments["x-dead-letter-exchange"] == Exchange.DEAD_LETTERS
    assert arguments["x-dead-letter-routing-key"] == queue.name
    # At-least-once dead-lettering is refused by the broker without it.
    assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")
    assert DeadLetterQueue(queue).arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": topology.UNREACHABLE_DELIVERY_LIMIT,
    }


@each_queue
def test_a_queue_with_a_fixed_name_outlives_the_loss_of_a_node(queue: Queue) -> None:
    if queue in topology.SHARED_QUEUES:
        assert queue.arguments["x-queue-type"] in {"quorum", "stream"}


@each_queue
def test_a_queue_of_one_process_asks_for_nothing_that_outlives_it(queue: Queue) -> None:
    if queue.kind is QueueKind.EXCLUSIVE:
        assert not {"x-queue-type", "x-delivery-limit"} & queue.arguments.keys()


def test_queue_names_are_distinct() -> None:
    names = [queue.name for queue in QUEUES] + [DeadLetterQueue(queue).name for queue in QUEUES]
    assert len(names) == len(set(names))


def test_requests_facts_and_reports_wait_for_their_consumer() -> None:
    """Losing one of these would lose a job; progress, heartbeats and aborts are repeated by their senders."""
    repeated = {"attempt.progressed", "attempt.abort", "worker.heartbeat"}
    durable = {message_type for queue in QUEUES if queue.keeps_dead_letters for message_type in queue.hears}
    assert {message_type.routing_key for message_type in MESSAGES if message_type not in durable} == repeated


def test_a_task_goes_to_the_workers_of_its_model_and_an_abort_to_one_worker() -> None:
    assert topology.worker_tasks(MODEL).binding_keys == (topology.run_attempt_key(MODEL),)
    assert topology.worker_control(WORKER).binding_keys == (topology.abort_attempt_key(WORKER),)
    assert topology.run_attempt_key(MODEL).startswith(RunAttempt.routing_key)
    assert topology.abort_attempt_key(WORKER).startswith(AbortAttempt.routing_key)


def test_the_heartbeats_of_an_hour_without_orchestrator_do_not_pile_up() -> None:
    assert topology.ORCHESTRATOR_HEARTBEATS.arguments["x-message-ttl"] == 10_000


def test_the_stream_carries_every_fact_about_jobs_and_nothing_else() -> None:
    assert topology.ANALYTICS_EVENTS.binding_keys == tuple(event.routing_key for event in JOB_EVENTS)


def test_the_stream_cannot_fill_the_disk_and_has_nothing_that_streams_do_not_know() -> None:
    # Any other argument makes the declaration fail, on 3.10 as on 4.x.
    assert topology.ANALYTICS_EVENTS.arguments == {
        "x-queue-type": "stream",
        "x-max-age": "7D",
        "x-max-length-bytes": 5_000_000_000,
        "x-stream-max-segment-size-bytes": 64_000_000,
    }


def test_a_stream_is_no_queue_that_is_empty_once_everything_was_heard() -> None:
    assert topology.GATEWAY_PROJECTION in topology.EVENT_QUEUES
    assert topology.ANALYTICS_EVENTS not in topology.EVENT_QUEUES
