"""The event stream as a data person reads it: files that agree with the API, whatever happens to their reader."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import expected_answers as expected
import pytest
from steps import eventually, over, running, serves, simulated

from analytics.query import ask
from analytics.views import open_views
from contracts.permissions import BusUser
from contracts.topology import Exchange
from devstack.addresses import ServerAddresses
from devstack.api_client import ApiClient
from devstack.broker_users import broker_url
from devstack.databases import isolated_and_prepared
from devstack.services import Service, StackSettings, Superuser
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("analytics")

SUPERUSER = Superuser("analysts", "a password nobody guesses", "analysts-key-0123456789abcdef")
Events = dict[str, list[dict[str, Any]]]
"""By job, as `GET /jobs/{id}/events` tells them."""


class Analytics:
    """`python -m analytics follow` as a process, writing files of the last third of a second."""

    def __init__(self, directory: Path, rabbitmq_url: str) -> None:
        self.directory = directory
        self._rabbitmq_url = rabbitmq_url
        self._process: asyncio.subprocess.Process | None = None

    async def follow(self, start: str = "resume") -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "RABBITMQ_URL": self._rabbitmq_url,
            "ANALYTICS_DIR": str(self.directory),
            "ROLL_SECONDS": "0.3",
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "analytics", "follow", "--from", start, env=environment
        )

    async def end(self, how: signal.Signals) -> int:
        """Its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        return await asyncio.wait_for(self._process.wait(), 15)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def told(self) -> dict[str, list[int]]:
        """The `seq` of every event, by job, in order."""
        told: dict[str, list[int]] = defaultdict(list)
        for job_id, seq in open_views(self.directory).sql("SELECT job_id, seq FROM events ORDER BY ALL").fetchall():
            told[job_id].append(seq)
        return told

    async def until_told(self, events: Events) -> None:
        async def all_told() -> bool:
            told = self.told()
            return all(len(told[job_id]) >= len(of_job) for job_id, of_job in events.items())

        await eventually(all_told)

    def answer(self, query: str, **parameters: str) -> list[dict[str, Any]]:
        relation = ask(self.directory, query, parameters)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


Reader = Callable[[], Analytics]


@pytest.fixture(scope="module")
async def own_stack(servers: ServerAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Nobody else's jobs are on it."""
    settings = StackSettings(
        state_directory=tmp_path_factory.mktemp("analytics-stack"),
        superuser=SUPERUSER,
        worker_models="simulated-v1:4",
        log_format="json",
        extra={Service.ORCHESTRATOR: {"SWEEP_INTERVAL_SECONDS": "0.3"}},
    )
    async with isolated_and_prepared(servers, SUPERUSER) as own, Stack(own, settings) as stack:
        async with ApiClient(stack.api_url, stack.api_key) as api:
            await eventually(lambda: serves(api, {"simulated-v1"}))
        yield stack


@pytest.fixture(scope="module")
async def own_api(own_stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(own_stack.api_url, own_stack.api_key) as client:
        yield client


@pytest.fixture(scope="module")
async def events(own_api: ApiClient) -> Events:
    """Of jobs that succeed at once, succeed late, fail for good, fail three times, are cancelled running and waiting."""
    started = [await simulated(own_api, duration_seconds=seconds) for seconds in (0, 0.3, 0.6)]
    started += [await simulated(own_api, outcome=outcome) for outcome in ("fail_fatal", "fail_retryable", "crash")]
    endless = await simulated(own_api, duration_seconds=600, steps=600)
    unserved = str((await own_api.create_job("dreamfusion-sd", {}, prompt="a chair"))["id"])
    await running(own_api, endless)
    await own_api.cancel(endless)
    await own_api.cancel(unserved)
    return {job_id: await log_of(own_api, job_id) for job_id in (*started, endless, unserved)}


async def log_of(api: ApiClient, job_id: str) -> list[dict[str, Any]]:
    """The whole log of the job, once it is over."""
    job = await over(api, job_id)

    async def ended() -> list[dict[str, Any]] | None:
        told = await api.events(job_id)
        return told if told and told[-1]["type"] == f"job.{job['status'].lower()}" else None

    log: list[dict[str, Any]] = await eventually(ended)
    return log


async def every_log(api: ApiClient) -> tuple[Events, dict[str, str]]:
    """Of every job there is; and the model of each."""
    jobs = (await api.jobs(limit=100))["jobs"]
    assert len(jobs) < 100, "there may be more on another page"
    logs = {job["id"]: await log_of(api, job["id"]) for job in jobs}
    return logs, {job["id"]: job["model_id"] for job in jobs}


@pytest.fixture
async def reader(own_stack: Stack, tmp_path: Path) -> AsyncIterator[Reader]:
    """Makes readers with a directory of their own, and a user that may do nothing but read the stream; none outlives the test."""
    made: list[Analytics] = []

    def make() -> Analytics:
        made.append(Analytics(tmp_path / str(len(made)), broker_url(own_stack.servers.broker, BusUser.ANALYTICS)))
        return made[-1]

    yield make
    for analytics in made:
        if analytics.is_running:
            await analytics.end(signal.SIGKILL)


async def test_the_files_say_of_every_job_what_the_api_says(events: Events, reader: Reader) -> None:
    analytics = reader()
    await analytics.follow("first")
    await analytics.until_told(events)
    assert await analytics.end(signal.SIGTERM) == 0
    columns = "seq, type, occurred_at, payload"
    for job_id, log in events.items():
        found = open_views(analytics.directory).sql(
            f"SELECT {columns} FROM events WHERE job_id = $job ORDER BY seq", params={"job": job_id}
        )
        told = [(seq, kind, at, json.loads(payload)) for seq, kind, at, payload in found.fetchall()]
        assert [(seq, kind, at) for seq, kind, at, _ in told] == [
            (event["seq"], event["type"], datetime.fromisoformat(event["at"])) for event in log
        ]
        for (*_, payload), event in zip(told, log, strict=True):
            shown = payload | payload["state"]  # the API lays the state of the job beside the rest
            assert {name: shown.get(name) for name in event["payload"]} == event["payload"]


async def test_the_kept_questions_are_answered_as_the_api_would_answer_them(
    own_api: ApiClient, events: Events, reader: Reader
) -> None:
    analytics = reader()
    await analytics.follow("first")
    await check_answers(analytics, own_api)


async def test_a_reader_that_is_killed_again_and_again_misses_nothing_and_tells_nothing_twice(
    own_api: ApiClient, events: Events, reader: Reader
) -> None:
    analytics, draw = reader(), random.Random(4)
    await analytics.follow("first")
    more = [await simulated(own_api, duration_seconds=0.05) for _ in range(20)]
    for _ in range(4):
        before = files(analytics.directory)
        await eventually(lambda before=before: more_files(analytics, before))
        await asyncio.sleep(draw.uniform(0, 0.3))  # in the middle of something else each time
        await analytics.end(signal.SIGKILL)
        more += [await simulated(own_api, duration_seconds=0.05) for _ in range(5)]
        await analytics.follow()
    logs = events | {job_id: await log_of(own_api, job_id) for job_id in more}
    await analytics.until_told(logs)
    assert await analytics.end(signal.SIGTERM) == 0
    assert {job: seqs for job, seqs in analytics.told().items() if job in logs} == {
        job_id: [event["seq"] for event in log] for job_id, log in logs.items()
    }
    # Not even among the raw rows: what a killed reader left unfinished is gone, and is read again.
    places = "count(*), count(DISTINCT (stream_offset, position)), count(DISTINCT reading)"
    [(rows, distinct, readings)] = open_views(analytics.directory).sql(f"SELECT {places} FROM deliveries").fetchall()
    assert (rows, readings) == (distinct, 1)


def files(directory: Path) -> int:
    return len(list(directory.glob("events/*/*.parquet")))


async def more_files(analytics: Analytics, than: int) -> bool:
    return files(analytics.directory) > than


async def test_a_reader_begins_at_any_moment(own_api: ApiClient, events: Events, reader: Reader) -> None:
    await asyncio.sleep(1.1)  # the broker finds moments to the second
    moment = datetime.now(UTC)
    later = await simulated(own_api)
    log = {later: await log_of(own_api, later)}
    analytics = reader()
    await analytics.follow(moment.isoformat())
    await analytics.until_told(log)
    assert analytics.told()[later] == [event["seq"] for event in log[later]]
    # A moment is found by chunk: an older message may come along, but it does not all begin anew.
    assert not events.keys() <= analytics.told().keys()


async def test_events_that_are_said_again_do_not_count_twice(
    own_stack: Stack, own_api: ApiClient, events: Events, reader: Reader
) -> None:
    analytics = reader()
    await analytics.follow("first")
    await analytics.until_told(events)
    once = len(open_views(analytics.directory).sql("FROM deliveries").fetchall())
    async with overheard(own_stack.servers.rabbitmq_url) as (say_again, heard):
        for message in heard:
            await say_again(message)

        async def all_double() -> bool:
            return len(open_views(analytics.directory).sql("FROM deliveries").fetchall()) > once

        await eventually(all_double)
    await check_answers(analytics, own_api)


@asynccontextmanager
async def overheard(url: str) -> AsyncIterator[Any]:
    """The messages of the stream so far, and how to publish one again, as the relay does after a reset of the broker."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(100)
        jobs = await channel.get_exchange(Exchange.JOBS)
        stream = await channel.get_queue("analytics.events", ensure=False)
        heard: list[aio_pika.abc.AbstractIncomingMessage] = []
        async with stream.iterator(arguments={"x-stream-offset": "first"}, timeout=1) as messages:
            try:
                async for message in messages:
                    heard.append(message)
                    await message.ack()
            except TimeoutError:
                pass

        async def say_again(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            copy = aio_pika.Message(message.body, content_type=message.content_type, type=message.type)
            await jobs.publish(copy, str(message.routing_key))

        yield say_again, heard


async def check_answers(analytics: Analytics, api: ApiClient) -> None:
    """Every question about all jobs there are, as the API alone would have it answered."""
    logs, models = await every_log(api)
    await analytics.until_told(logs)
    [(user_id,)] = open_views(analytics.directory).sql("SELECT DISTINCT user_id FROM jobs").fetchall()
    assert analytics.answer("waiting_and_running") == nearly(expected.waiting_and_running(models, logs))
    lost = analytics.answer("lost_gpu_time")
    assert {(row["code"], row["worker"]): row for row in lost} == {
        (row["code"], row["worker"]): row for row in nearly(expected.lost_gpu_time(logs))
    }
    costs = [row["lost_seconds"] for row in lost]
    assert costs == sorted(costs, reverse=True)
    assert analytics.answer("throughput") == nearly(expected.throughput(user_id, logs))
    assert analytics.answer("missing_events") == []
    for job_id, log in logs.items():
        life = analytics.answer("job_life", job_id=job_id)
        assert [(row["seq"], row["type"]) for row in life] == [(event["seq"], event["type"]) for event in log]


def nearly(answer: list[dict[str, Any]]) -> list[Any]:
    """Equal to what differs from it by the rounding of the last digits only."""
    return [
        {name: pytest.approx(value, abs=0.001) if isinstance(value, float) else value for name, value in row.items()}
        for row in answer
    ]
