"""The command line: `python -m devstack up | demo | trace | dlq | analytics | migrations-check`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from devstack.analytics import analytics
from devstack.console import ProcessConsole, messages_shown
from devstack.demo import demo
from devstack.dlq import dlq
from devstack.errors import DevstackError
from devstack.migrations_check import migrations_check
from devstack.show_trace import show_trace
from devstack.signals import run_until_signalled
from devstack.up import up


def main(arguments: Sequence[str]) -> int:
    chosen = _parser().parse_args(arguments)
    console = ProcessConsole()
    try:
        with messages_shown(console):
            return _run(chosen, chosen.root.resolve(), console)
    except DevstackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2


def _run(chosen: argparse.Namespace, root: Path, console: ProcessConsole) -> int:
    match chosen.command:
        case "up":
            return run_until_signalled(up(root, console), status_when_stopped=0)
        case "demo":
            work = demo(root, chosen.image, chosen.out, console.console)
            return run_until_signalled(work, status_when_stopped=130)
        case "trace":
            work = show_trace(root, chosen.image, console.console)
            return run_until_signalled(work, status_when_stopped=130)
        case "dlq":
            dlq(root, chosen.arguments)
        case "analytics":
            analytics(root, chosen.arguments)
        case "migrations-check":
            return run_until_signalled(migrations_check(root), status_when_stopped=130)
    raise AssertionError(chosen.command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devstack", description="Runs the whole system on this machine.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="servers and services in the foreground, until Ctrl-C")
    demonstration = commands.add_parser("demo", help="turn one photo into a 3D model, through the whole system")
    demonstration.add_argument("--image", type=Path, help="a photo (default: the one in tests/assets)")
    demonstration.add_argument("--out", type=Path, help="where to write the model (default: out/<job>.glb)")
    traced = commands.add_parser("trace", help="turn one photo into a 3D model, and print the trace of the job")
    traced.add_argument("--image", type=Path, help="a photo (default: the one in tests/assets)")
    letters = commands.add_parser("dlq", help="list, show, requeue or discard dead letters", add_help=False)
    letters.add_argument("arguments", nargs=argparse.REMAINDER)
    subscriber = commands.add_parser(
        "analytics", help="follow the event stream into files, and ask them", add_help=False
    )
    subscriber.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("migrations-check", help="do the migrations make the tables the code has?")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
