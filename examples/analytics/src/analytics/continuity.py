"""Whether what comes follows upon what is in the files."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from analytics.rows import Delivery


class Mark(BaseModel):
    """The last message whose events are all in files."""

    model_config = ConfigDict(frozen=True)

    offset: int
    digest: str
    """Of its body. A stream that was made anew has another message at this offset, or none."""


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


class Verdict(StrEnum):
    CONTINUES = "continues"
    """The first delivery is the very message the files end with."""
    TRUNCATED = "truncated"
    """Retention has removed that message, and perhaps others behind it."""
    REPLACED = "replaced"
    """Another stream has the name now, as after a reset of the broker: offsets of the former mean nothing in it."""


@dataclass(frozen=True, slots=True)
class Continuity:
    verdict: Verdict
    missing: int = 0
    """Messages that were removed before they were read."""


def continuity(mark: Mark, first: Delivery | None) -> Continuity:
    """Compares the mark with the first delivery of a subscription that was attached at the mark's offset.

    None: nothing came, though the message at the mark is known to have been there. The broker says of none of this anything: it
    goes to the nearest message it has, and from an offset beyond its end it delivers nothing until the stream has grown so far.
    """
    if first is None or first.offset < mark.offset:
        return Continuity(Verdict.REPLACED)
    if first.offset > mark.offset:
        return Continuity(Verdict.TRUNCATED, missing=first.offset - mark.offset - 1)
    same = digest(first.body) == mark.digest
    return Continuity(Verdict.CONTINUES if same else Verdict.REPLACED)
