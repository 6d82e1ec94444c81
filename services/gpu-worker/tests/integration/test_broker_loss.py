"""The broker goes away and comes back while the worker is at work."""

from prometheus_client import REGISTRY
from worker_harness import SIMULATED, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts.failures import FailureCode
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError


async def test_an_outcome_reached_without_a_broker_is_said_when_it_is_back(orchestrator, start_worker, gate):
    await start_worker(rabbitmq_url=gate.url)
    attempt = task(duration_seconds=0.5)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    gate.cut()
    await until(nothing_runs)
    assert orchestrator.said(AttemptSucceeded, attempt) == []
    await gate.mend()
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_intake_and_control_are_back_after_the_broker_is(orchestrator, start_worker, gate):
    worker = await start_worker(rabbitmq_url=gate.url)
    await orchestrator.warm_up()
    gate.cut()
    await gate.mend()
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    await orchestrator.abort(attempt, worker.worker_id)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.CANCELLED


async def test_a_worker_that_nobody_can_hear_stops_its_attempts_when_their_leases_have_lapsed(
    orchestrator, start_worker, gate
):
    await start_worker(rabbitmq_url=gate.url, lease_ttl_seconds=0.6)
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    gate.cut()
    await until(nothing_runs)
    await gate.mend()
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_LOST


async def test_a_claim_whose_confirm_was_lost_is_kept_and_said_again(orchestrator, start_worker, monkeypatch):
    unconfirmed = 2
    publish = Bus.publish

    async def publish_and_lose_the_confirm(bus, message_type, events, **how):
        nonlocal unconfirmed
        await publish(bus, message_type, events, **how)
        if message_type is AttemptStarted and unconfirmed:
            unconfirmed -= 1
            raise BusUnavailableError("the confirm was lost")

    monkeypatch.setattr(Bus, "publish", publish_and_lose_the_confirm)
    await start_worker()
    attempt = task(duration_seconds=0)
    await orchestrator.send(attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    assert len(orchestrator.said(AttemptStarted, attempt)) == 3
    assert len(orchestrator.said(AttemptSucceeded, attempt)) == 1


def nothing_runs():
    return REGISTRY.get_sample_value("p3d_worker_slots_busy", {"model": SIMULATED}) == 0
