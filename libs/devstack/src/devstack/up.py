"""`python -m devstack up`: the whole system in the foreground."""

import asyncio
import logging
import os
from pathlib import Path

from devstack.console import ProcessConsole
from devstack.dotenv_file import load_or_create
from devstack.reload import reload_on_change
from devstack.whole_system import whole_system

_log = logging.getLogger("devstack")


async def up(root: Path, console: ProcessConsole) -> int:
    """Runs servers and services until cancelled."""
    values = load_or_create(root, os.environ)
    async with whole_system(root, root / ".state" / "up", values, default_port=8000, output=console.line) as stack:
        _log.info("ready: the API is %s (try /docs), its x-api-key %s; Ctrl-C stops", stack.api_url, stack.api_key)
        if values.get("RELOAD") == "1":
            await reload_on_change(stack, root)
        await asyncio.Event().wait()
    return 0
