"""W3C trace context, carried from the HTTP request through messages and rows. https://www.w3.org/TR/trace-context/"""

import os
import re
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The trace context of what is being done now; None outside a request or message."""


def accept_traceparent(header: str | None) -> str:
    """The caller's trace context if it is well-formed, else a new root."""
    if header is not None and _TRACEPARENT.match(header):
        return header
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
