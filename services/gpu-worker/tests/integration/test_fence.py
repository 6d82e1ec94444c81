"""A worker that nobody hears: it must have stopped its engines before its attempts run elsewhere for long."""

import time

from prometheus_client import REGISTRY
from worker_harness import SIMULATED, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts.failures import FailureCode

INTERVAL = 0.2
LEASE = 1.0


def nothing_runs():
    return REGISTRY.get_sample_value("p3d_worker_slots_busy", {"model": SIMULATED}) == 0


async def test_a_worker_whose_connection_froze_stops_its_engine_a_lease_and_a_heartbeat_after_it_was_last_heard(
    orchestrator, start_worker, gate
):
    """What it writes into a frozen connection is taken, and heard by nobody."""
    await start_worker(rabbitmq_url=gate.url, heartbeat_interval_seconds=INTERVAL, lease_ttl_seconds=LEASE)
    attempt = task(duration_seconds=60, steps=600)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    await until(lambda: any(attempt.attempt_id in heartbeat.attempts for heartbeat in orchestrator.heartbeats))
    gate.freeze()
    frozen_at = time.monotonic()
    await until(nothing_runs)
    assert time.monotonic() - frozen_at < LEASE + INTERVAL + 1.0  # it may be busy with killing for a moment
    heard = len(orchestrator.heartbeats)
    gate.thaw()
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_LOST
    # One was under way when the connection froze; no later one names what was given up.
    await until(lambda: len(orchestrator.heartbeats) > heard + 3)
    assert orchestrator.heartbeats[-1].attempts == ()


async def test_a_worker_that_was_not_heard_for_less_than_that_goes_on(orchestrator, start_worker, gate):
    await start_worker(rabbitmq_url=gate.url, lease_ttl_seconds=10)
    attempt = task(duration_seconds=1)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    gate.freeze()
    await until(nothing_runs)
    gate.thaw()
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_an_attempt_begun_after_the_silence_has_its_own_lease(orchestrator, start_worker, gate):
    """Its start was heard; that other attempts were not heard of for a lease before it is none of its business."""
    await start_worker(rabbitmq_url=gate.url, heartbeat_interval_seconds=INTERVAL, lease_ttl_seconds=LEASE)
    lost, next_one = task(duration_seconds=60), task(duration_seconds=0.5)
    await orchestrator.send(lost)
    await orchestrator.hears(AttemptStarted, lost)
    gate.freeze()
    await until(nothing_runs)
    gate.thaw()
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)
