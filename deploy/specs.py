"""Writes `specs/`: what the system says of itself, generated from the code. `--check` fails if the committed files differ."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from log_events import log_events_page
from metrics_page import metrics_page
from permissions_page import permissions_page
from pydantic import SecretStr

from contracts import asyncapi, topology
from contracts.topology import DeadLetterQueue
from gateway.app import build_app
from gateway.settings import GatewaySettings

SPECS = Path(__file__).parent.parent / "specs"


def specs() -> dict[str, str]:
    """The content of every generated file, by its name."""
    return {
        "openapi.json": as_json(openapi_document()),
        "asyncapi.json": as_json(asyncapi.document()),
        "topology.md": topology_page(),
        "metrics.md": metrics_page(),
        "log-events.md": log_events_page(),
        "permissions.md": permissions_page(),
    }


def openapi_document() -> dict[str, Any]:
    """Nothing is connected for it: the settings only have to be of the right shape."""
    settings = GatewaySettings(
        database_url=SecretStr("postgresql+asyncpg://unused"),
        rabbitmq_url=SecretStr("amqp://unused"),
        artifacts_url="http://unused",
        artifacts_token=SecretStr("unused-unused-unused"),
    )
    return build_app(settings).openapi()


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def topology_page() -> str:
    """Every queue with what it hears, and every message with who says it."""
    lines = [
        "# Topology",
        "",
        "Generated from `libs/contracts`; `make specs` writes it anew.",
        "",
        "| queue | kind | exchange | binding keys | hears | arguments | dead letters |",
        "|---|---|---|---|---|---|---|",
    ]
    for queue in topology.QUEUES:
        dead = f"`{DeadLetterQueue(queue).name}`" if queue.keeps_dead_letters else "–"
        keys = "<br>".join(f"`{key}`" for key in queue.binding_keys)
        hears = "<br>".join(message.__name__ for message in queue.hears)
        arguments = "<br>".join(f"`{name}={value}`" for name, value in queue.arguments.items())
        lines.append(
            f"| `{queue.name}` | {queue.kind} | `{queue.exchange}` | {keys} | {hears} | {arguments} | {dead} |"
        )
    kept = topology.ORCHESTRATOR_KEEPSAKE
    arguments = "<br>".join(f"`{name}={value}`" for name, value in kept.arguments.items())
    why = "nobody: it shows that the broker kept its data"
    lines.append(f"| `{kept.name}` | quorum | `{kept.exchange}` | `{kept.name}` | {why} | {arguments} | – |")
    lines += ["", "| message | routing key | version | exchange | said by |", "|---|---|---|---|---|"]
    for message, exchange in topology.PUBLISHED_ON.items():
        said_by = topology.PUBLISHED_BY[message]
        lines.append(f"| {message.__name__} | `{message.routing_key}` | {message.version} | `{exchange}` | {said_by} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    drifted = [name for name, content in specs().items() if drifts(SPECS / name, content)]
    if check and drifted:
        sys.exit(f"specs/ is not what the code says ({', '.join(drifted)}): run `make specs` and commit the result")
    if not check:
        SPECS.mkdir(exist_ok=True)
        for name, content in specs().items():
            (SPECS / name).write_text(content)


def drifts(path: Path, content: str) -> bool:
    return not path.exists() or path.read_text() != content


if __name__ == "__main__":
    main()
