"""`python -m service_kit.dead_letters`: lists, shows, requeues and discards dead letters. Reads `DeadLettersSettings`."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TextIO
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, AuthenticationError, ChannelInvalidStateError, ProbableAuthenticationError

from contracts import topology
from contracts.ids import ModelId
from contracts.topology import dead_letter_queue_name
from service_kit.dead_letters.letterbox import Choice, Contents, NoLetterboxError, NotAcceptedError, open_letterbox
from service_kit.dead_letters.report import Report, report_letters, report_list, report_taken_out
from service_kit.environment import load_settings
from service_kit.settings import BusSettings
from service_kit.tls import certificate_refusal

_CONNECT_TIMEOUT_SECONDS = 10.0
_LOOKED_AT = 200
"""How many letters of each queue `list` reads for their reasons: reading one costs the broker about a millisecond."""


class DeadLettersSettings(BusSettings):
    """The broker, as a user who may read dead letters and publish to the default exchange: `p3d-operator`."""

    worker_models: str = ""
    """Whose tasks' dead letters `list` looks at, as a worker has it."""


class CommandError(Exception):
    """One sentence that says what is wrong and what to do."""


def main() -> int:
    logging.disable(logging.CRITICAL)  # libraries' lines on lost connections: they are told here, in a sentence
    chosen = parse(sys.argv[1:])
    settings = load_settings(DeadLettersSettings, "dead_letters")
    try:
        return asyncio.run(run(chosen, settings, sys.stdout))
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What is asked; ends the process where that is not understood."""
    return _parser().parse_args(arguments or ["list"])


async def run(chosen: argparse.Namespace, settings: DeadLettersSettings, out: TextIO) -> int:
    """Does what is asked and prints it; the exit status. Raises `CommandError`."""
    if chosen.command == "discard" and chosen.all and not chosen.yes:
        raise CommandError(f"discarding every dead letter of {chosen.queue} cannot be undone: add --yes if it is meant")
    async with _connected(settings) as connection:
        report = await _report(connection, chosen, settings)
    print(json.dumps(report.data, indent=2) if chosen.json else report.text, file=out)
    return 0


async def _report(connection: AbstractConnection, chosen: argparse.Namespace, settings: DeadLettersSettings) -> Report:
    if chosen.command == "list":
        return await _list(connection, _sources(chosen, settings))
    source = chosen.queue.removesuffix(dead_letter_queue_name(""))
    try:
        async with open_letterbox(connection, source) as box:
            match chosen.command:
                case "show":
                    return report_letters(source, await box.look(chosen.limit))
                case "requeue":
                    count = await box.requeue(_choice(chosen))
                    return report_taken_out(source, "requeued", _some(count, chosen))
                case "discard":
                    count = await box.discard(_choice(chosen))
                    return report_taken_out(source, "discarded", _some(count, chosen))
    except NoLetterboxError:
        known = ", ".join(_sources(chosen, settings))
        raise CommandError(
            f"there is no dead-letter queue of {source!r} on this broker; those known are: {known}"
        ) from None
    except NotAcceptedError:
        raise CommandError(
            f"{source} did not accept the message: it is gone or full. The letter is where it was, and so are those after it"
        ) from None
    raise AssertionError(chosen.command)


async def _list(connection: AbstractConnection, sources: Sequence[str]) -> Report:
    boxes: dict[str, Contents] = {}
    for source in sources:
        try:
            async with open_letterbox(connection, source) as box:
                boxes[source] = await box.look(_LOOKED_AT)
        except NoLetterboxError:
            continue
    return report_list(boxes)


def _sources(chosen: argparse.Namespace, settings: DeadLettersSettings) -> list[str]:
    """AMQP cannot list queues: the fixed ones are known, those of models are named."""
    fixed = [queue.name for queue in topology.SHARED_QUEUES if queue.keeps_dead_letters]
    served = [entry.partition(":")[0].strip() for entry in settings.worker_models.split(",")]
    models = [model for model in (*served, *getattr(chosen, "model", ())) if model]
    named = [topology.worker_tasks(ModelId(model)).name for model in models]
    return list(dict.fromkeys([*fixed, *named]))


def _choice(chosen: argparse.Namespace) -> Choice:
    wanted: str | None = chosen.id
    return lambda letter_id: wanted is None or letter_id == wanted


def _some(count: int, chosen: argparse.Namespace) -> int:
    if count == 0 and chosen.id is not None:
        raise CommandError(
            f"no dead letter of {chosen.queue} has the id {chosen.id!r}: `show {chosen.queue}` names them"
        )
    return count


@asynccontextmanager
async def _connected(settings: DeadLettersSettings) -> AsyncIterator[AbstractConnection]:
    """No message of an error here shows the URL's credentials."""
    url = settings.broker_url()
    if urlsplit(url).scheme not in {"amqp", "amqps"}:
        raise CommandError("RABBITMQ_URL is no address of a broker: it has to begin with amqp:// or amqps://")
    place = urlsplit(url).netloc.rpartition("@")[2]
    try:
        connection = await aio_pika.connect(url, ssl_context=settings.broker_tls(), timeout=_CONNECT_TIMEOUT_SECONDS)
    except (AuthenticationError, ProbableAuthenticationError):
        raise CommandError(f"RabbitMQ at {place} refused the user or the password of RABBITMQ_URL") from None
    except (AMQPError, OSError, TimeoutError) as error:
        if refusal := certificate_refusal(error):
            raise CommandError(f"RabbitMQ at {place} is not to be trusted: {refusal.verify_message}") from None
        raise CommandError(f"RabbitMQ at {place} cannot be reached ({type(error).__name__})") from None
    try:
        async with connection:
            yield connection
    except (AMQPError, ConnectionError, TimeoutError, ChannelInvalidStateError) as error:
        raise CommandError(
            f"the connection to RabbitMQ at {place} broke ({type(error).__name__}): nothing is lost, do it again"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dead_letters", description="Messages that could not be handled.")
    commands = parser.add_subparsers(dest="command", required=True)
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--json", action="store_true", help="for machines")
    listing = commands.add_parser("list", parents=[output], help="the queues that have dead letters")
    listing.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID",
        help="look at the tasks of this model too, besides those of WORKER_MODELS; may be repeated",
    )
    show = commands.add_parser("show", parents=[output], help="the dead letters of a queue, which stay where they are")
    show.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (default: 20)")
    requeue = commands.add_parser(
        "requeue", parents=[output], help="send dead letters back to the queue they fell out of"
    )
    discard = commands.add_parser("discard", parents=[output], help="throw dead letters away")
    for command in (show, requeue, discard):
        command.add_argument("queue", help="the queue they fell out of, such as orchestrator.requests")
    for command in (requeue, discard):
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("--id", help="the one with this id")
        which.add_argument("--all", action="store_true", help="every one that is there now")
    discard.add_argument("--yes", action="store_true", help="with --all: it is meant")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
