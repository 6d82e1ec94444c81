"""Places where a process may be made to die, so that a test can kill it exactly there."""

import os
import signal

_CHOSEN = os.environ.get("CRASH_POINT")


def crash_point(name: str) -> None:
    """Kills the process as `kill -9` would, if the environment's `CRASH_POINT` names this place. Free otherwise."""
    if _CHOSEN is not None and name == _CHOSEN:
        os.kill(os.getpid(), signal.SIGKILL)
