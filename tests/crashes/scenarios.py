"""What is done at each crash point: an armed process is brought there, dies, and its job ends as if nothing had happened."""

from collections.abc import Awaitable, Callable

import aio_pika
import aiohttp
import pytest
from orders import Order
from steps import ASSETS, eventually, uploaded
from tests.crashes.system import System, simulated

from contracts.topology import GATEWAY_PROJECTION, ORCHESTRATOR_KEEPSAKE, ORCHESTRATOR_REQUESTS
from devstack.api_client import ApiClient

# --- gateway ---


async def post_without_an_answer(system: System, point: str) -> None:
    """Sent again to another gateway with the same key, the request makes one job."""
    order = simulated(point)
    await system.arm("gateway-2", point)
    await system.stack.wait_ready("gateway-2")
    with pytest.raises(aiohttp.ClientError):
        await system.post("gateway-2", "/jobs/", json=order.body, headers={"Idempotency-Key": order.key})
    await system.dies("gateway-2")
    await system.ends(await system.clients.order(order))


async def event_projected_twice(system: System, point: str) -> None:
    """The two gateways share the events of a job: the armed one gets at least one of them."""
    await system.arm("gateway-2", point)
    await system.stack.wait_ready("gateway-2")
    job_id = await system.order(point)
    await system.dies("gateway-2")
    await system.ends(job_id)


async def cancel_without_an_answer(system: System, point: str) -> None:
    """It was said, so it counts; its owner, who does not know, says it again."""
    await system.arm("gateway-2", point)
    job_id = await system.order(point, duration_seconds=600)
    await eventually(lambda: is_started(system, job_id))
    await system.stack.wait_ready("gateway-2")
    with pytest.raises(aiohttp.ClientError):
        await system.post("gateway-2", f"/jobs/{job_id}/cancel")
    await system.dies("gateway-2")
    await system.clients.cancel(job_id)
    await system.ends(job_id, "CANCELLED", attempts=("ABORTED",))


async def letter_buried_twice(system: System, point: str) -> None:
    """Of two poison messages each gateway gets one; that of the armed one is buried again by the other."""
    await system.arm("gateway-2", point)
    await system.stack.wait_ready("gateway-2")
    async with await aio_pika.connect(system.servers.rabbitmq_url) as connection:
        channel = await connection.channel()
        for poison in (b"one", b"two"):
            await channel.default_exchange.publish(aio_pika.Message(poison), GATEWAY_PROJECTION.name)
    await system.dies("gateway-2")

    async def buried() -> bool:
        return len(system.witness.dead_letters) == 3

    await eventually(buried)
    assert {letter.queue for letter in system.witness.dead_letters} == {GATEWAY_PROJECTION.name}
    assert {letter.body for letter in system.witness.dead_letters} == {"one", "two"}
    system.witness.dead_letters.clear()
    await system.ends(await system.order(point))


# --- orchestrator ---


async def request_not_acknowledged(system: System, point: str) -> None:
    """Without a worker it commits nothing by itself: it is the request's own commit that kills."""
    await system.stack.stop("gpu_worker-1")
    await eventually(lambda: nobody_serves(system))
    await system.stack.stop("orchestrator-1")
    job_id = await system.order(point)
    await system.arm("orchestrator-1", point)
    await system.dies("orchestrator-1")
    is_known = await system.database.fetchval("SELECT EXISTS (SELECT FROM orchestrator.jobs WHERE job_id = $1)", job_id)
    assert is_known is (point == "orchestrator.after_commit_before_publish")
    await system.revive("orchestrator-1", "gpu_worker-1")
    await system.ends(job_id)


async def task_on_the_bus(system: System, point: str) -> None:
    """It is run once, though nobody hears of it before the orchestrator is back."""
    await system.arm("orchestrator-1", point)
    job_id = await system.order(point)
    await system.dies("orchestrator-1")
    assert [row["status"] for row in await system.attempts(job_id)] == ["DISPATCHED"]
    await system.revive("orchestrator-1")
    await system.ends(job_id)


async def event_said_but_not_marked(system: System, point: str) -> None:
    """It is said again, under the same name."""
    await system.arm("orchestrator-1", point)
    job_id = await system.order(point)
    await system.dies("orchestrator-1")
    unmarked = "SELECT count(*) FROM orchestrator.job_events WHERE job_id = $1 AND published_at IS NULL"
    assert await system.database.fetchval(unmarked, job_id) > 0
    await system.revive("orchestrator-1")
    await system.ends(job_id)

    async def all_marked() -> bool:
        return bool(await system.database.fetchval(unmarked, job_id) == 0)

    await eventually(all_marked)


async def broker_forgot(system: System, point: str) -> None:
    """The broker lost a request and its memory. Dying while it tells everything again, the orchestrator begins anew."""
    known = sorted(system.clients.over)
    await system.stack.stop("orchestrator-1")
    job_id = await system.order(point)
    async with await aio_pika.connect(system.servers.rabbitmq_url) as connection:
        channel = await connection.channel()
        await (await channel.get_queue(ORCHESTRATOR_REQUESTS.name)).purge()
        await channel.queue_delete(ORCHESTRATOR_KEEPSAKE.name)
    await system.arm("orchestrator-1", point)
    await system.dies("orchestrator-1")
    heard = len(system.witness.heard)
    await system.revive("orchestrator-1")
    await system.ends(job_id)

    async def told_again() -> bool:
        return {again.job_id for again in system.witness.heard[heard:]} >= set(known)

    assert known
    await eventually(told_again)


# --- gpu-worker ---


async def attempt_lost(system: System, point: str) -> None:
    """The lease lapses, and the next attempt makes the file."""
    lost = system.in_dead_hands[point]
    assert lost["failure_code"] == "worker_lost"
    await system.ends(str(lost["job_id"]), attempts=("LOST", "SUCCEEDED"))


async def outcome_reported(system: System, point: str) -> None:
    """The result was said: that its worker is gone changes nothing."""
    reported = system.in_dead_hands[point]
    await system.ends(str(reported["job_id"]))


async def attempt_handed_back(system: System, point: str) -> None:
    """It was said: nobody waits for the lease."""
    aborted = system.in_dead_hands[point]
    assert aborted["failure_code"] == "worker_shutdown"
    await system.ends(str(aborted["job_id"]), attempts=("ABORTED", "SUCCEEDED"))
    assert aborted["ended_at"] < aborted["lease_expires_at"]


# --- artifacts ---


async def registration_without_an_answer(system: System, point: str) -> None:
    """The worker asks again, and the attempt is none the worse."""
    await system.arm("artifacts-1", point)
    job_id = await system.order(point)
    await system.dies("artifacts-1")
    await system.revive("artifacts-1")
    await system.ends(job_id)


async def input_registered_twice(system: System, point: str) -> None:
    async with ApiClient(system.stack.api_url, system.stack.api_key) as api:
        image = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    params = {"image_path": image, "texture_resolution": 256, "vertex_count": 500}
    await system.arm("artifacts-1", point)
    await system.stack.wait_ready("artifacts-1")
    job_id = await system.clients.order(
        Order(point, {"model_id": "silhouette-v1", "input_params": params}, makes_model=True)
    )
    await system.dies("artifacts-1")
    await system.revive("artifacts-1")
    await system.ends(job_id)
    inputs = "SELECT count(*) FROM artifacts.artifacts WHERE job_id = $1 AND kind = 'input'"
    assert await system.database.fetchval(inputs, job_id) == 1


async def is_started(system: System, job_id: str) -> bool:
    return any(row["status"] == "STARTED" for row in await system.attempts(job_id))


async def nobody_serves(system: System) -> bool:
    alive = "SELECT count(*) FROM orchestrator.workers WHERE NOT stopping AND last_seen_at > now() - interval '2 s'"
    return bool(await system.database.fetchval(alive) == 0)


SCENARIOS: dict[str, Callable[[System, str], Awaitable[None]]] = {
    "gpu_worker.after_started_before_ack": attempt_lost,
    "gpu_worker.after_ack_before_run": attempt_lost,
    "gpu_worker.after_upload_before_register": attempt_lost,
    "gpu_worker.after_register_before_report": attempt_lost,
    "gpu_worker.after_report_before_noted": outcome_reported,
    "gpu_worker.after_run_before_report": attempt_lost,
    "gpu_worker.after_hand_back_before_farewell": attempt_handed_back,
    "gateway.after_claim_before_publish": post_without_an_answer,
    "gateway.after_publish_before_view": post_without_an_answer,
    "gateway.after_view_before_answer": post_without_an_answer,
    "gateway.after_project_before_ack": event_projected_twice,
    "gateway.after_cancel_said_before_recorded": cancel_without_an_answer,
    "bus.after_burying_before_ack": letter_buried_twice,
    "orchestrator.before_commit": request_not_acknowledged,
    "orchestrator.after_commit_before_publish": request_not_acknowledged,
    "orchestrator.after_task_said_before_mark": task_on_the_bus,
    "orchestrator.after_publish_before_mark": event_said_but_not_marked,
    "orchestrator.after_generation_before_keepsake": broker_forgot,
    "orchestrator.after_retell_before_progress": broker_forgot,
    "artifacts.after_verify_before_register": registration_without_an_answer,
    "artifacts.after_register_before_answer": registration_without_an_answer,
    "artifacts.after_register_inputs_before_ack": input_registered_twice,
}
LOSING_ATTEMPTS = [point for point, scenario in SCENARIOS.items() if scenario is attempt_lost]
"""Where a worker dies with an attempt whose outcome it has not reported."""
ELSEWHERE = {
    "artifacts.after_delete_before_forget_uploads": "services/artifacts/tests/integration/test_crashes.py",
    "artifacts.after_delete_before_forget_losers": "services/artifacts/tests/integration/test_crashes.py",
    "artifacts.after_delete_before_forget_jobs": "services/artifacts/tests/integration/test_crashes.py",
    "dead_letters.after_publish_before_ack": "libs/service_kit/tests/integration/test_dead_letters.py",
}
"""Points that no job passes, with the test that kills there."""
