"""The opaque cursor of a list that is read newest first: the position of the last job seen."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.ids import UserId
from service_kit.problems import Problem

_LAYOUT = struct.Struct(">q16s9s")  # a multiple of three: base64 without padding, and so one text per cursor
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Continue after this job. Opens nothing: a list is always the caller's own, wherever it continues."""

    created_at: datetime
    job_id: UUID

    def encode(self, user_id: UserId) -> str:
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        checksum = _checksum(microseconds, self.job_id.bytes, user_id)
        return base64.urlsafe_b64encode(_LAYOUT.pack(microseconds, self.job_id.bytes, checksum)).decode()

    @classmethod
    def decode(cls, text: str, user_id: UserId) -> "Cursor":
        """Raises 422 for anything but a cursor that `encode` wrote for this user."""
        try:
            microseconds, job_id, checksum = _LAYOUT.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
            if checksum == _checksum(microseconds, job_id, user_id):
                return cls(_EPOCH + timedelta(microseconds=microseconds), UUID(bytes=job_id))
        except (ValueError, OverflowError, binascii.Error, struct.error):
            pass
        detail = "The cursor is not one that this API gave you; start again without it."
        raise Problem(422, "invalid_cursor", detail, pointer="/cursor")


def _checksum(microseconds: int, job_id: bytes, user_id: UserId) -> bytes:
    """Finds mistakes, such as a cursor cut short or taken from somebody else; it need not withstand an attacker."""
    return hashlib.sha256(b"%d/%b/%b" % (microseconds, job_id, user_id.bytes)).digest()[:9]
