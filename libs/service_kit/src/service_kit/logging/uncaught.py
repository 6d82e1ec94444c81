"""What nobody caught, and what Python itself has to say, as lines of the log instead of text on stderr."""

import sys
import threading
import warnings
from types import TracebackType
from typing import TextIO

import structlog

log = structlog.get_logger()


def log_what_nobody_caught() -> None:
    """From now on, for this process. Errors in tasks come by asyncio's own logger."""
    sys.excepthook = _on_exception
    sys.unraisablehook = _on_unraisable
    threading.excepthook = _on_exception_in_thread
    warnings.showwarning = _on_warning


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("process.exception.uncaught", exc_info=error)


def _on_exception_in_thread(args: "threading.ExceptHookArgs") -> None:
    if args.exc_type is not SystemExit:
        thread = args.thread.name if args.thread is not None else None
        log.error("process.thread.crashed", thread=thread, exc_info=args.exc_value)


def _on_unraisable(args: "sys.UnraisableHookArgs") -> None:
    """An error where none can be raised, such as in `__del__`."""
    log.error("process.exception.ignored", where=repr(args.object)[:200], exc_info=args.exc_value)


def _on_warning(  # noqa: PLR0917  # as `warnings` calls it
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del file, line
    log.warning("process.warning.raised", category=category.__name__, text=str(message), where=f"{filename}:{lineno}")
