"""The orchestrator, put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from contracts.topology import ORCHESTRATOR_KEEPSAKE
from contracts.workers import WorkerHeartbeat
from orchestrator.ask_queues import AskQueues
from orchestrator.availability import Availability
from orchestrator.commit_batch import CommitBatch, Commits
from orchestrator.decision import Rules
from orchestrator.fill_windows import FillWindows
from orchestrator.forget_old_jobs import ForgetOldJobs
from orchestrator.hear_heartbeats import HearHeartbeats
from orchestrator.relay import Relay
from orchestrator.say_lost_tasks_again import SayLostTasksAgain
from orchestrator.settings import OrchestratorSettings
from orchestrator.subscribers import subscribe
from orchestrator.take_census import TakeCensus
from orchestrator.watch_broker import WatchBroker
from orchestrator.watch_clock import WatchClock
from service_kit.asgi import service_app
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.database import Pool, answers, open_pool
from service_kit.health import Health, tolerating
from service_kit.keepsake import BrokerMemory
from service_kit.loops import Loop
from service_kit.startup import once_available

_STALE_AFTER_INTERVALS = 3


def build_app(settings: OrchestratorSettings) -> FastAPI:
    health = Health()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await once_available(
                "database",
                partial(open_pool, settings, service="orchestrator"),
                patience_seconds=settings.startup_patience_seconds,
            )
            stack.push_async_callback(pool.close)
            bus = Bus(
                settings.broker_url(),
                service="orchestrator",
                tls=settings.broker_tls(),
            )
            relay, availability = Relay(bus, pool), Availability()
            fill_windows = FillWindows(availability, window_per_slot=settings.window_per_slot)
            commit_batch = CommitBatch(pool, relay, fill_windows, _rules(settings))
            commits: Commits = Batcher(commit_batch, max_batch=settings.max_batch)
            clock = Loop(
                "watch_clock",
                WatchClock(
                    pool,
                    commits,
                    availability,
                    listening_for=bus.connected_for,
                    lease_ttl_seconds=settings.lease_ttl_seconds,
                ),
                interval_seconds=settings.sweep_interval_seconds,
            )
            redispatch_after = timedelta(seconds=settings.redispatch_after_seconds)
            say_again = SayLostTasksAgain(pool, bus, relay, availability, redispatch_after=redispatch_after)
            watch_broker = WatchBroker(
                pool,
                bus,
                relay,
                BrokerMemory(bus, ORCHESTRATOR_KEEPSAKE),
                margin=timedelta(seconds=settings.retell_margin_seconds),
            )
            await watch_broker.learn_generation()
            forget_old_jobs = ForgetOldJobs(pool, keep_logs=settings.keep_logs, keep_jobs=settings.keep_jobs)
            left_behind = partial(relay.publish_left_behind, settings.relay_patience_seconds)
            loops = [
                clock,
                Loop("publish_left_behind", left_behind, interval_seconds=settings.sweep_interval_seconds),
                Loop("say_lost_tasks_again", say_again, interval_seconds=settings.sweep_interval_seconds),
                Loop("watch_broker", watch_broker, interval_seconds=settings.sweep_interval_seconds),
                Loop("forget_old_jobs", forget_old_jobs, interval_seconds=settings.retention_interval_seconds),
                *_census(settings, pool, bus),
            ]
            hear = HearHeartbeats(pool, relay, clock.wake, lease_ttl_seconds=settings.lease_ttl_seconds)
            heartbeats: Batcher[WorkerHeartbeat, None] = Batcher(hear, max_batch=settings.max_batch)
            subscribe(bus, commits, heartbeats)

            # Left in reverse: stop hearing, finish the batches under way, say what they made true, close.
            stack.push_async_callback(bus.stop)
            await once_available("broker", bus.start, patience_seconds=settings.startup_patience_seconds)
            stack.push_async_callback(relay.close)
            stack.push_async_callback(commits.close)
            stack.push_async_callback(heartbeats.close)
            stack.push_async_callback(bus.stop_consuming)
            for loop in loops:
                loop.start()
                stack.push_async_callback(loop.stop)
            health.alive["consumers"] = tolerating(bus.is_consuming)
            health.ready |= {"database": partial(answers, pool), "bus": bus.ping}
            stack.callback(health.stop)
            yield

    return service_app(
        lifespan=lifespan,
        health=health,
        access_log=settings,
        metrics_token=settings.metrics_token,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )


def _census(settings: OrchestratorSettings, pool: Pool, bus: Bus) -> list[Loop]:
    """Two loops: while the one of PostgreSQL and RabbitMQ is away, the other can still be counted."""
    interval = settings.census_interval_seconds
    take_census = TakeCensus(
        pool,
        window_per_slot=settings.window_per_slot,
        lease_ttl_seconds=settings.lease_ttl_seconds,
        stale_after_seconds=_STALE_AFTER_INTERVALS * interval,
    )
    ask_queues = AskQueues(bus, lambda: take_census.models, stale_after_seconds=_STALE_AFTER_INTERVALS * interval)
    return [
        Loop("take_census", take_census, interval_seconds=interval),
        Loop("ask_queues", ask_queues, interval_seconds=interval),
    ]


def _rules(settings: OrchestratorSettings) -> Rules:
    return Rules(
        lease_ttl=timedelta(seconds=settings.lease_ttl_seconds),
        execution_grace=timedelta(seconds=settings.execution_grace_seconds),
    )
