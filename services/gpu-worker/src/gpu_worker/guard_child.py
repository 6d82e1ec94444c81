"""Kills the engines of a worker that is gone or stands still: `python guard_child.py <patience seconds>`.

Started by `engine_guard`, which says on stdin, a line each: `+<group>` an engine's process group, `-<group>` it is over, and an
empty line that the worker lives. Imports next to nothing: it only waits.
"""

import contextlib
import os
import select
import signal
import sys


def main() -> None:
    patience_seconds = float(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):  # it ends with the worker, not before
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    unfinished = b""
    while True:
        readable, _, _ = select.select([0], [], [], patience_seconds)
        if not readable:
            _kill(groups)
            continue
        said = os.read(0, 65536)
        if not said:
            _kill(groups)
            return
        *lines, unfinished = (unfinished + said).split(b"\n")
        for line in lines:
            if line.startswith(b"+"):
                groups.add(int(line[1:]))
            elif line:
                groups.discard(int(line[1:]))


def _kill(groups: set[int]) -> None:
    """A stopped worker has not buried its engines: their ids are still theirs. It says `-` of each when it goes on."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
