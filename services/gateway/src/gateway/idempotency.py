"""One request, said twice, makes one job: names and fingerprints of requests that carry an `Idempotency-Key`.

Source: IETF draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import json
import re
from typing import Any
from uuid import UUID, uuid5

from contracts.ids import JobId, UserId
from gateway.request_body import JobBody
from service_kit.problems import Problem

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")


def check_key(key: str) -> str:
    """The key, if it can be one. Raises 422."""
    if not _VISIBLE_ASCII.fullmatch(key):
        detail = "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces; a UUID is a good one."
        raise Problem(422, "invalid_idempotency_key", detail)
    return key


def job_id_of(user_id: UserId, key: str) -> JobId:
    """The job that this user's key names, today and on every replica: a version-5 UUID. RFC 9562, 5.5."""
    return JobId(uuid5(UUID(int=user_id.int), key))


def fingerprint_of(body: JobBody) -> bytes:
    """SHA-256 of the request as it was sent, whatever the order of its fields or the writing of its numbers."""
    asked = _canonical(body.model_dump(exclude_none=True))
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).digest()


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same JSON number, as everybody but Python's writer thinks."""
    match value:
        case dict():
            return {key: _canonical(item) for key, item in value.items()}
        case list():
            return [_canonical(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value
