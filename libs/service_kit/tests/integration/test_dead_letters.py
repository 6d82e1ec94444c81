"""The command that lists, shows, requeues and discards dead letters, on a real RabbitMQ."""

import asyncio
import io
import json
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest
from libs.service_kit.tests.integration.conftest import Broker, StartBus
from libs.service_kit.tests.integration.heard import REQUESTS, Heard, cancel_request
from yarl import URL

from contracts import topology
from contracts.ids import ModelId
from contracts.jobs import JobCancelRequested
from contracts.topology import DeadLetterQueue
from service_kit.dead_letters.__main__ import CommandError, DeadLettersSettings, parse, run

DEAD_REQUESTS = DeadLetterQueue(REQUESTS)
SOURCE, TYPE, KEY = REQUESTS.name, JobCancelRequested.event_type(), JobCancelRequested.routing_key

Command = Callable[..., Awaitable[str]]
Bury = Callable[..., Awaitable[None]]


@pytest.fixture
def command(broker_url: str) -> Command:
    """Runs it as its command line would and returns what it prints."""

    async def run_command(line: str, **settings: str) -> str:
        out = io.StringIO()
        assert await run(parse(line.split()), settings_of(broker_url, **settings), out) == 0
        return out.getvalue()

    return run_command


@pytest.fixture
async def bury(start_bus: StartBus, broker: Broker) -> Bury:
    """Has a consumer that hits a bug in everything put these cancel requests among the dead letters, in this order."""

    async def bury_requests(*ids: str) -> None:
        bus = await start_bus(lambda bus: bus.on(REQUESTS, JobCancelRequested)(crash))
        for event_id in ids:
            await bus.publish(JobCancelRequested, [cancel_request(event_id)])
            await until_dead(broker, 1 + ids.index(event_id))
        await bus.stop()

    async def crash(_events: object) -> None:
        raise ValueError("a bug")

    return bury_requests


def settings_of(url: str, **settings: str) -> DeadLettersSettings:
    return DeadLettersSettings.model_validate({"rabbitmq_url": url, **settings})


async def until_dead(broker: Broker, count: int) -> None:
    async with asyncio.timeout(10):
        while await broker.count(DEAD_REQUESTS) < count:  # noqa: ASYNC110  # the broker tells nobody
            await asyncio.sleep(0.01)


async def ids_left(broker: Broker, count: int) -> list[str | None]:
    """The ids of the dead letters, in order, once there are so many: what was put back is there a moment later. Takes them."""
    await until_dead(broker, count)
    return [(await broker.take(DEAD_REQUESTS)).message_id for _ in range(await broker.count(DEAD_REQUESTS))]


# --- list ---


async def test_list_counts_the_letters_of_each_queue_by_reason(command: Command, bury: Bury) -> None:
    await bury("one", "two")
    assert json.loads(await command("list --json")) == {
        "queues": [{"queue": SOURCE, "letters": 2, "looked_at": 2, "reasons": {"handler_crashed": 2}}]
    }
    assert f"{SOURCE}        2  handler_crashed 2" in await command("")


async def test_list_says_so_when_there_are_none(command: Command, start_bus: StartBus) -> None:
    assert "No dead letters" in await command("list")  # nor any queues yet
    await start_bus()
    assert "No dead letters" in await command("list")


async def test_list_looks_at_the_tasks_of_the_models_it_is_told_of(command: Command, start_bus: StartBus) -> None:
    bus = await start_bus()
    tasks = topology.worker_tasks(ModelId("m-1"))
    await bus.declare(tasks)
    assert tasks.name not in await command("list")
    assert tasks.name in await command("list --model m-1 --model unheard-of")
    assert tasks.name in await command("list", worker_models="m-0:1, m-1:4")


# --- show ---


async def test_show_says_all_about_a_letter(command: Command, bury: Bury) -> None:
    await bury("one")
    text = await command(f"show {SOURCE}")
    for words in (
        "1 dead letter",
        "one",
        TYPE,
        "handler_crashed: ValueError('a bug')",
        f"exchange jobs, routing key {KEY}",
    ):
        assert words in text
    (letter,) = json.loads(await command(f"show {DEAD_REQUESTS.name} --json"))["letters"]
    assert (letter["number"], letter["id"], letter["body"][0]["id"]) == (1, "one", "one")


async def test_showing_letters_however_often_leaves_them_as_they_were(
    command: Command, bury: Bury, broker: Broker
) -> None:
    await bury("one", "two", "three")
    for limit in (1, 2, 3, 20):
        shown = json.loads(await command(f"show {SOURCE} --limit {limit} --json"))
        assert [letter["id"] for letter in shown["letters"]] == ["one", "two", "three"][:limit]
        assert shown["total"] == 3
    for _ in range(25):  # RabbitMQ 4 drops after 20 deliveries what has no limit of its own
        await command(f"show {SOURCE} --limit 1")
    assert await ids_left(broker, 3) == ["one", "two", "three"]


async def test_show_of_an_empty_queue_says_so(command: Command, start_bus: StartBus) -> None:
    await start_bus()
    assert "0 dead letters" in await command(f"show {SOURCE}")


# --- requeue ---


async def test_a_requeued_letter_is_handled_by_the_mended_consumer_and_the_others_stay_in_order(
    command: Command, bury: Bury, start_bus: StartBus, broker: Broker
) -> None:
    await bury("one", "two", "three", "four")
    heard = Heard()
    await start_bus(heard.subscribe)
    assert "1 dead letter requeued" in await command(f"requeue {SOURCE} --id two")
    await heard.until("two")
    assert heard.calls == [["two"]]
    assert await ids_left(broker, 3) == ["one", "three", "four"]


async def test_a_requeued_message_is_what_it_was_before_it_died(
    command: Command, start_bus: StartBus, broker: Broker
) -> None:
    bus = await start_bus(Heard().subscribe)
    await broker.say(b"[]", key=KEY, type=TYPE)
    await until_dead(broker, 1)
    await bus.stop()
    await command(f"requeue {SOURCE} --all")
    message = await broker.take(REQUESTS)
    assert (message.body, message.type, message.message_id) == (b"[]", TYPE, "m-1")
    message.headers.pop("x-delivery-count", None)  # the broker's own; some versions tell it from the first delivery on
    assert message.headers == {"x-foreign": "kept", "x-exchange": topology.Exchange.JOBS, "x-routing-key": KEY}


async def test_letters_that_are_still_poison_come_back_once_and_say_where_they_first_came_from(
    command: Command, bury: Bury, start_bus: StartBus, broker: Broker
) -> None:
    await bury("one", "two")
    heard = Heard(crash_at="one")
    bus = await start_bus(heard.subscribe)
    assert json.loads(await command(f"requeue {SOURCE} --all --json")) == {"queue": SOURCE, "requeued": 2}
    await heard.until("one", "two")
    await bus.stop()
    assert sorted(heard.calls) == [["one"], ["two"]]
    (letter,) = json.loads(await command(f"show {SOURCE} --json"))["letters"]
    assert (letter["id"], letter["reason"]) == ("one", "handler_crashed")
    assert (letter["exchange"], letter["routing_key"]) == (topology.Exchange.JOBS, KEY)


async def test_a_letter_is_duplicated_but_never_lost_if_the_command_is_killed_in_the_middle(
    bury: Bury, broker: Broker, broker_url: str
) -> None:
    await bury("one", "two")
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service_kit.dead_letters", "requeue", SOURCE, "--all"),
        env={"RABBITMQ_URL": broker_url, "CRASH_POINT": "dead_letters.after_publish_before_ack"},
    )
    assert await command.wait() == -signal.SIGKILL
    assert (await broker.take(REQUESTS)).message_id == "one"
    await until_dead(broker, 2)  # RabbitMQ notices the end of the command in its own time
    assert sorted(map(str, await ids_left(broker, 2))) == ["one", "two"]
    assert await broker.count(REQUESTS) == 0


async def test_a_letter_whose_queue_is_gone_stays_where_it_is(command: Command, bury: Bury, broker: Broker) -> None:
    await bury("one", "two")
    await broker.delete(REQUESTS)
    with pytest.raises(CommandError, match="did not accept"):
        await command(f"requeue {SOURCE} --all")
    assert await ids_left(broker, 2) == ["one", "two"]


async def test_a_letter_that_rabbitmq_made_is_requeued_like_any_other(
    command: Command, start_bus: StartBus, broker: Broker
) -> None:
    bus = await start_bus()
    await bus.publish(JobCancelRequested, [cancel_request("tried-too-often")])
    for _ in range(topology.DELIVERY_LIMIT + 1):
        await broker.give_back(REQUESTS)
    (letter,) = json.loads(await command(f"show {SOURCE} --json"))["letters"]
    assert (letter["reason"], letter["exchange"], letter["routing_key"]) == ("delivery_limit", "jobs", KEY)
    assert letter["died_at"] is not None
    await command(f"requeue {SOURCE} --id tried-too-often")
    heard = Heard()
    await start_bus(heard.subscribe)
    await heard.until("tried-too-often")


# --- discard ---


async def test_a_discarded_letter_is_gone_and_the_others_stay_in_order(
    command: Command, bury: Bury, broker: Broker
) -> None:
    await bury("one", "two", "three")
    assert "1 dead letter discarded" in await command(f"discard {SOURCE} --id two")
    assert await ids_left(broker, 2) == ["one", "three"]


async def test_discarding_everything_has_to_be_meant(command: Command, bury: Bury, broker: Broker) -> None:
    await bury("one", "two")
    with pytest.raises(CommandError, match="--yes"):
        await command(f"discard {SOURCE} --all")
    assert await broker.count(DEAD_REQUESTS) == 2
    assert "2 dead letters discarded" in await command(f"discard {SOURCE} --all --yes")
    assert await broker.count(DEAD_REQUESTS) == 0


# --- mistakes ---


async def test_an_id_that_no_letter_has_is_a_mistake_and_changes_nothing(
    command: Command, bury: Bury, broker: Broker
) -> None:
    await bury("one")
    for line in (f"requeue {SOURCE} --id two", f"discard {SOURCE} --id two"):
        with pytest.raises(CommandError, match=r"no dead letter of .* has the id .two."):
            await command(line)
    assert await ids_left(broker, 1) == ["one"]


async def test_a_queue_that_does_not_exist_is_answered_with_those_that_may(command: Command) -> None:
    with pytest.raises(CommandError, match=r"no dead-letter queue of 'orchestrator\.reqests'.*orchestrator\.requests"):
        await command("show orchestrator.reqests")


async def test_no_error_shows_the_password(broker_url: str) -> None:
    refused = str(URL(broker_url).with_password("s3cret"))
    unreachable = "amqp://user:s3cret@127.0.0.1:1/"
    elsewhere = "amqp://user:s3cret@no-such-host.invalid/"
    for url, words in ((refused, "refused"), (unreachable, "cannot be reached"), (elsewhere, "cannot be reached")):
        with pytest.raises(CommandError, match=words) as caught:
            await run(parse(["list"]), settings_of(url), io.StringIO())
        assert "s3cret" not in str(caught.value)


async def test_an_address_that_is_none_is_answered_with_what_one_looks_like() -> None:
    with pytest.raises(CommandError, match="has to begin with"):
        await run(parse(["list"]), settings_of("localhost:5672"), io.StringIO())


@pytest.mark.parametrize(
    ("environment", "status", "sentence"),
    [
        ({"RABBITMQ_URL": "amqp://user:s3cret@127.0.0.1:1/"}, 1, "RabbitMQ at 127.0.0.1:1 cannot be reached"),
        ({}, 2, "dead_letters: environment variable RABBITMQ_URL: Field required"),
    ],
)
async def test_the_command_ends_with_a_sentence_and_a_status_rather_than_a_traceback(
    environment: dict[str, str], status: int, sentence: str
) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service_kit.dead_letters", "list"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await command.communicate()
    assert command.returncode == status
    assert said.decode().startswith(sentence)
    assert len(said.splitlines()) == 1
