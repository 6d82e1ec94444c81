"""A process and everything it started, whatever process groups they have made for themselves."""

import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Its children, their children and so on, as of now. Those whose parent has ended are nobody's and not among them."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The second field, the program's name in brackets, may itself hold spaces and brackets.
            head, _, tail = stat.read_text().rpartition(")")
            children[int(tail.split()[1])].append(int(head.split(" ", 1)[0]))
    found = list(children[pid])
    for parent in found:
        found.extend(children[parent])
    return found


def stop_tree(pid: int) -> None:
    """Stops the process and all it started (SIGSTOP), parents first, so that none can start another meanwhile."""
    send(pid, signal.SIGSTOP)
    stopped: set[int] = set()
    while new := set(descendants(pid)) - stopped:
        for child in new:
            send(child, signal.SIGSTOP)
        stopped |= new


def send(pid: int, number: signal.Signals) -> None:
    """Sends the signal; to a process that has ended, nothing."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
