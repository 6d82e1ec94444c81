"""Restarts a service when its code changes."""

import logging
from collections.abc import Iterable
from pathlib import Path

from watchfiles import PythonFilter, awatch

from devstack.services import Service
from devstack.stack import Stack

_log = logging.getLogger("devstack")


async def reload_on_change(stack: Stack, root: Path) -> None:
    """Until cancelled: a change in a service's own code restarts that service, one in a library restarts all of them."""
    sources = {folder: service for service in Service if (folder := source_folder(root, service)).exists()}
    libraries = [root / "libs" / name / "src" for name in ("contracts", "service_kit")]
    async for changes in awatch(*sources, *libraries, watch_filter=PythonFilter(extra_extensions=(".json", ".sql"))):
        changed = services_of((Path(path) for _, path in changes), sources)
        names = [name for service in changed for name in stack.names(service)]
        _log.info("code changed: restarting %s", ", ".join(names))
        await stack.restart(*names)


def source_folder(root: Path, service: Service) -> Path:
    return root / "services" / service.value.replace("_", "-") / "src"


def services_of(changed: Iterable[Path], sources: dict[Path, Service]) -> list[Service]:
    """The services whose code is among the changed files; a file of none of them is a library's, and concerns all."""
    found: set[Service] = set()
    for path in changed:
        owner = next((service for folder, service in sources.items() if path.is_relative_to(folder)), None)
        if owner is None:
            return list(Service)
        found.add(owner)
    return [service for service in Service if service in found]
