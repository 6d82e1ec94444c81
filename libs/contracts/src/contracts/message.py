"""The base of everything said on the bus."""

from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Timestamp = AwareDatetime
"""Always with an offset, UTC by convention."""

Percent = Annotated[float, Field(ge=0, le=100)]

JsonObject = dict[str, Any]


class Value(BaseModel):
    """A frozen part of a message. Fields nobody here knows are ignored, so that a version may grow by new fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Value):
    """One thing said on the bus, once.

    `routing_key` names it on the wire (``<noun>.<verb>``, commands imperative, events past tense); `version` changes when a
    field is removed or changes its meaning. A consumer that meets a version it does not know dead-letters the message.
    """

    routing_key: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def event_type(cls) -> str:
        """The CloudEvents ``type``, such as ``pipeline3d.job.queued.v1``."""
        return f"pipeline3d.{cls.routing_key}.v{cls.version}"
