"""The opaque cursor of a list that is read newest first: the position of the last job seen."""

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from service_kit.problems import Problem

_LAYOUT = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Continue after this job. Says nothing about whose it is: every list is the caller's own anyway."""

    created_at: datetime
    job_id: UUID

    def encode(self) -> str:
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(_LAYOUT.pack(microseconds, self.job_id.bytes)).decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises 422 for anything that `encode` did not write."""
        try:
            microseconds, job_id = _LAYOUT.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
            return cls(_EPOCH + timedelta(microseconds=microseconds), UUID(bytes=job_id))
        except (ValueError, OverflowError, binascii.Error, struct.error):
            detail = "The cursor is not one that this API gave out; start again without it."
            raise Problem(422, "invalid_cursor", detail, pointer="/cursor") from None
