"""Reading a real stream: from any point, on behind any interruption, and honestly where something is missing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from examples.analytics.tests.integration.conftest import Publisher
from examples.analytics.tests.integration.follower import Follower
from examples.analytics.tests.job_stories import JobStory
from structlog.testing import capture_logs

from analytics.subscription import StreamUnavailableError
from contracts.topology import ANALYTICS_EVENTS
from devstack.severable import SeverableWay

MakeFollower = Callable[..., Follower]
OFFSETS = "SELECT stream_offset FROM deliveries ORDER BY ALL"


def queued(number: int) -> JobStory:
    return JobStory(number)


def offsets(*numbers: int) -> list[tuple[int]]:
    return [(number,) for number in numbers]


async def test_everything_that_was_said_is_read_from_the_first_message_on(
    publisher: Publisher, follower: MakeFollower
) -> None:
    await publisher.declare()
    story = JobStory(1).started(2).retried(3).started(1).succeeded(9)
    await publisher.say([JobStory(2).events[0], JobStory(3).events[0]], *story.events)
    async with follower("first") as reader:
        await reader.until("SELECT count(*), count(DISTINCT stream_offset) FROM deliveries", [(7, 6)])
    seqs = f"SELECT seq FROM events WHERE job_id = '{story.job_id}' ORDER BY seq"
    assert reader.select(seqs) == [(1,), (2,), (3,), (4,), (5,)]


async def test_the_next_run_goes_on_where_the_last_one_ended(publisher: Publisher, follower: MakeFollower) -> None:
    await publisher.declare()
    await publisher.say(queued(1).events, queued(2).events)
    async with follower() as reader:
        await reader.until(OFFSETS, offsets(0, 1))
    await publisher.say(queued(3).events)
    async with follower() as reader:
        await publisher.say(queued(4).events)
        await reader.until(OFFSETS, offsets(0, 1, 2, 3))


async def test_what_was_read_and_is_not_yet_in_a_file_is_written_at_the_end(
    publisher: Publisher, follower: MakeFollower
) -> None:
    await publisher.declare()
    await publisher.say(queued(1).events)
    with capture_logs() as logs:
        async with follower(roll_seconds=3600) as reader:
            async with asyncio.timeout(10):
                while not any(log["event"] == "analytics.stream.attached" for log in logs):  # noqa: ASYNC110  # logs tell nobody
                    await asyncio.sleep(0.01)
            assert reader.select(OFFSETS) == []
    assert reader.select(OFFSETS) == offsets(0)


async def test_a_reading_begins_at_an_offset(publisher: Publisher, follower: MakeFollower) -> None:
    await publisher.declare()
    await publisher.say(*(queued(number).events for number in range(5)))
    async with follower("offset:3") as reader:
        await reader.until(OFFSETS, offsets(3, 4))


async def test_next_is_only_what_is_said_from_now_on(publisher: Publisher, follower: MakeFollower) -> None:
    await publisher.declare()
    await publisher.say(*(queued(number).events for number in range(5)))
    with capture_logs() as logs:
        async with follower("next") as reader:
            while not reader.select(OFFSETS):
                await publisher.say(queued(9).events)
    first = next(log for log in logs if log["event"] == "analytics.stream.attached")["first_offset"]
    assert first >= 5
    assert reader.select(OFFSETS)[0] == (first,)


async def test_a_moment_is_found_and_nothing_after_it_is_missed(publisher: Publisher, follower: MakeFollower) -> None:
    await publisher.declare()
    await publisher.say(*(queued(number).events for number in range(3)))
    moment = await next_second()
    await publisher.say(queued(8).events, queued(9).events)
    async with follower(moment.isoformat()) as reader:
        await reader.until("SELECT max(stream_offset) FROM deliveries", [(4,)])
    assert reader.select(OFFSETS)[-2:] == offsets(3, 4)
    assert reader.select(OFFSETS)[0] != (0,)


async def next_second() -> datetime:
    """The broker's moments are whole seconds; a chunk written before this one is older."""
    now = datetime.now(UTC)
    await asyncio.sleep((1_000_000 - now.microsecond) / 1e6 + 0.01)
    return datetime.now(UTC).replace(microsecond=0)


async def test_a_connection_that_breaks_costs_nothing(
    publisher: Publisher, follower: MakeFollower, broker_url: str
) -> None:
    await publisher.declare()
    await publisher.say(queued(1).events)
    async with SeverableWay(broker_url) as way, follower("first", way.url) as reader:
        await reader.until(OFFSETS, offsets(0))
        way.cut()
        await publisher.say(queued(2).events)
        await way.mend()
        await publisher.say(queued(3).events)
        await reader.until(OFFSETS, offsets(0, 1, 2))


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning_and_that_is_said(
    publisher: Publisher, follower: MakeFollower
) -> None:
    await publisher.declare()
    await publisher.say(*(queued(number).events for number in range(3)))
    async with follower() as reader:
        await reader.until(OFFSETS, offsets(0, 1, 2))
    await publisher.delete_stream()
    await publisher.declare()
    # As after a reset: some events are told again, and as many others have come that the offset is there once more.
    await publisher.say(*(queued(number).events for number in (1, 2, 7, 8)))
    with capture_logs() as logs:
        async with follower() as reader:
            await reader.until("SELECT count(*) FROM deliveries", [(7,)])
    assert "analytics.stream.replaced" in {log["event"] for log in logs}
    assert reader.select("SELECT count(*) FROM events") == [(5,)]


async def test_a_stream_that_is_shorter_than_what_was_read_is_another_one(
    publisher: Publisher, follower: MakeFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.follow._MARK_SECONDS", 0.5)
    await publisher.declare()
    await publisher.say(*(queued(number).events for number in range(3)))
    async with follower() as reader:
        await reader.until(OFFSETS, offsets(0, 1, 2))
    await publisher.delete_stream()
    await publisher.declare()
    await publisher.say(queued(7).events)
    async with follower() as reader:
        await reader.until("SELECT count(*) FROM events", [(4,)])


@pytest.mark.parametrize("start", ["resume", "first", "offset:1", "1970-01-02T00:00:00Z"])
async def test_what_retention_removed_before_it_was_read_is_said_loudly(
    publisher: Publisher, follower: MakeFollower, start: str
) -> None:
    await publisher.declare(x_max_length_bytes=3000, x_stream_max_segment_size_bytes=1000)
    if start == "resume":
        await publisher.say(queued(1).events)
        async with follower() as reader:
            await reader.until(OFFSETS, offsets(0))
    await publisher.say(*(queued(number).events for number in range(2, 40)))
    with capture_logs() as logs:
        async with follower(start) as reader:
            await reader.until("SELECT count(*) > 1 FROM deliveries", [(True,)])
    gap = next(log for log in logs if log["event"] == "analytics.stream.truncated")
    read = [offset for (offset,) in reader.select(OFFSETS)]
    first = read[1] if start == "resume" else read[0]
    begins = {"resume": 1, "first": 0, "offset:1": 1}.get(start, 0)
    assert (gap["first_offset"], gap["missing"]) == (first, first - begins)
    assert first > 1


async def test_what_nobody_understands_stops_nobody(publisher: Publisher, follower: MakeFollower) -> None:
    await publisher.declare()
    await publisher.say_body(b"what?")
    await publisher.say(queued(1).events)
    async with follower() as reader:
        await reader.until(
            "SELECT stream_offset, problem FROM deliveries ORDER BY ALL", [(0, "invalid_payload"), (1, None)]
        )


async def test_a_missing_stream_is_waited_for_and_then_told(
    publisher: Publisher, follower: MakeFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with follower() as reader:
        await publisher.declare()
        await publisher.say(queued(1).events)
        await reader.until(OFFSETS, offsets(0))
    await publisher.delete_stream()
    reader = follower()
    await reader.__aenter__()
    reader._follow._patience_seconds = 0
    with pytest.raises(StreamUnavailableError, match=ANALYTICS_EVENTS.name):
        await reader._task
    with pytest.raises(StreamUnavailableError):
        await reader.__aexit__()
