"""`python -m analytics follow | query | compact | status`"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable

import duckdb

from analytics.archive import ArchiveInUseError, open_archive
from analytics.compact import compact
from analytics.follow import Follow
from analytics.query import UnknownQueryError, ask, query_names
from analytics.settings import ArchiveSettings, FollowSettings
from analytics.starting_point import Edge, StartingPoint, parse_starting_point
from analytics.status import status
from service_kit.environment import load_settings
from service_kit.errors import is_operational
from service_kit.logging import configure_logging

_RESUME = "resume"


def main() -> int:
    chosen = _parser().parse_args()
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "follow": _follow,
        "query": _query,
        "compact": _compact,
        "status": _status,
    }
    try:
        return commands[chosen.command](chosen)
    except (ArchiveInUseError, UnknownQueryError, duckdb.Error) as error:
        print(f"analytics: {error}", file=sys.stderr)
        return 1


def _follow(chosen: argparse.Namespace) -> int:
    settings = load_settings(FollowSettings, "analytics")
    configure_logging("analytics", settings)
    try:
        asyncio.run(_follow_until_signalled(settings, chosen.start))
    except Exception as error:
        if not is_operational(error):
            raise
        print(f"analytics: the stream cannot be read: {error!r}", file=sys.stderr)
        return 1
    return 0


async def _follow_until_signalled(settings: FollowSettings, start: StartingPoint | None) -> None:
    with open_archive(settings.analytics_dir) as archive:
        if start is not None or not archive.has_begun:
            archive.begin_reading(Edge.FIRST if start is None else start)
        follow = Follow(
            settings.broker_url(),
            archive,
            roll_seconds=settings.roll_seconds,
            roll_bytes=settings.roll_bytes,
            patience_seconds=settings.startup_patience_seconds,
            tls=settings.broker_tls(),
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, follow.stop)
        await follow()


def _query(chosen: argparse.Namespace) -> int:
    settings = load_settings(ArchiveSettings, "analytics")
    if chosen.name is None:
        for name, about in query_names().items():
            print(f"{name:<22} {about}")
        return 0
    answer = ask(settings.analytics_dir, chosen.name, dict(chosen.parameters))
    if chosen.json:
        print(json.dumps([dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()], default=str))
    else:
        answer.show(max_rows=10_000, max_width=10_000)
    return 0


def _compact(_: argparse.Namespace) -> int:
    settings = load_settings(ArchiveSettings, "analytics")
    print(f"{compact(settings.analytics_dir)} days compacted")
    return 0


def _status(_: argparse.Namespace) -> int:
    settings = load_settings(ArchiveSettings, "analytics")
    found = status(settings.analytics_dir)
    print(json.dumps(found.as_json()))
    return 0 if found.is_reading else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analytics", description="The event stream as Parquet files.")
    commands = parser.add_subparsers(dest="command", required=True)
    follow = commands.add_parser("follow", help="read the stream into files until SIGTERM")
    follow.add_argument(
        "--from",
        dest="start",
        type=_start,
        default=None,
        metavar="WHERE",
        help="resume (default; the first message if nothing was read yet), first, last, next, offset:1200, 2026-11-01T00:00:00Z",
    )
    query = commands.add_parser("query", help="ask a kept question; without a name, lists them")
    query.add_argument("name", nargs="?")
    query.add_argument("parameters", nargs="*", type=_parameter, metavar="NAME=VALUE", default=[])
    query.add_argument("--json", action="store_true", help="as JSON instead of a table")
    commands.add_parser("compact", help="merge the many files of each past day into one")
    commands.add_parser("status", help="how far the files go; exit status 1 if nobody reads the stream")
    return parser


def _start(text: str) -> StartingPoint | None:
    try:
        return None if text == _RESUME else parse_starting_point(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: say NAME=VALUE, as in job_id=…")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
