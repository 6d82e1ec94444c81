"""Why an attempt made no model."""

import re

from contracts.failures import FailureCode

_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LONGEST_MESSAGE = 1000


class AttemptError(Exception):
    """The attempt ends without a result, for a reason that has a code."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def storable(text: str) -> str:
    """The text as it can be sent and stored: no control characters (PostgreSQL refuses NUL), no lone surrogates, not endless."""
    return _NOT_PRINTABLE.sub("�", text)[:_LONGEST_MESSAGE]
