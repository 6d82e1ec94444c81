"""An exception as data: its type and message to search for, its stack to read."""

import sys
import traceback
from types import TracebackType
from typing import Any, TypeAlias

ExceptionInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"

_LONGEST_MESSAGE = 2_000
_LONGEST_STACK = 16_000


def structured_exception(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog processor: replaces `exc_info` by `exception`, with `type`, `message` and `stack`."""
    error = exception_in(event.pop("exc_info", None))
    if error is not None:
        told = traceback.TracebackException.from_exception(
            error
        )  # whose text can be had even where `str(error)` raises
        event["exception"] = {
            "type": _name(type(error)),
            "message": str(told)[:_LONGEST_MESSAGE],
            "stack": _shortened("".join(told.format()).rstrip()),
        }
    return event


def exception_in(exc_info: Any) -> BaseException | None:
    """Whatever `logging` and structlog take for `exc_info`: an exception, the triple of `sys.exc_info()`, or True."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        error = exc_info[1]
        return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shortened(stack: str) -> str:
    """Where it began and where it ended; what is left out of the middle is said."""
    if len(stack) <= _LONGEST_STACK:
        return stack
    half = _LONGEST_STACK // 2
    return f"{stack[:half]}\n… {len(stack) - 2 * half} characters …\n{stack[-half:]}"
