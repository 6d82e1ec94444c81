"""What the processes of a stack have written, and what must not be in it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from devstack.process_tree import descendants
from devstack.services import StackSettings
from devstack.stack import Stack

_NAMES_OF_SECRETS = ("PASSWORD", "TOKEN", "SECRET", "SECRET_KEY", "API_KEY")


class Logs:
    """The log of each process, as its supervisor keeps it: stdout and stderr."""

    def __init__(self, settings: StackSettings) -> None:
        self._folder = settings.state_directory / "logs"
        self._names = [name for _, name in settings.processes()]

    def text(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self._names}

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(name).splitlines()]

    def all_lines(self) -> list[dict[str, Any]]:
        return [line for name in self._names for line in self.lines(name)]

    def counts(self) -> Counter[str]:
        return Counter({name: len(self.lines(name)) for name in self._names})


def secrets_of(stack: Stack) -> dict[str, str]:
    """Every secret that a process of the stack was given, by where it was found; a URL's is its password."""
    superuser = stack.settings.superuser
    found = {"superuser's password": superuser.password, "superuser's key": superuser.api_key}
    for name in stack.names():
        pid = stack.pid(name)
        assert pid is not None
        for variable, value in environment_of(pid).items():
            password = urlsplit(value).password if variable.endswith("_URL") else None
            if password:
                found |= {f"{name} {variable}": password, f"{name} {variable}, decoded": unquote(password)}
            elif variable.endswith(_NAMES_OF_SECRETS):
                found[f"{name} {variable}"] = value
    return found


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def children_seen_from_outside(pid: int) -> dict[int, str]:
    """Arguments and environment of everything the process has started."""
    seen = {}
    for child in descendants(pid):
        files = (Path(f"/proc/{child}/cmdline"), Path(f"/proc/{child}/environ"))
        seen[child] = "\n".join(file.read_bytes().decode(errors="replace") for file in files)
    return seen
