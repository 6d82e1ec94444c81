"""The states a job and an attempt can be in, and the stages an attempt passes through."""

from enum import StrEnum


class JobStatus(StrEnum):
    """What a caller sees. The last three are terminal: once there, a job never leaves."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        return self in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}


class AttemptStatus(StrEnum):
    """One execution of a job on one worker. Only DISPATCHED and STARTED attempts can still change anything."""

    DISPATCHED = "DISPATCHED"
    STARTED = "STARTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"
    """Its lease lapsed: the worker was killed, cut off, or lost its memory."""
    ABORTED = "ABORTED"
    """Its job was cancelled, or a worker that is shutting down handed it back."""

    @property
    def is_over(self) -> bool:
        return self not in {AttemptStatus.DISPATCHED, AttemptStatus.STARTED}


class Stage(StrEnum):
    """Where an attempt is. Engines report SEGMENT to EXPORT; the worker itself reports the others."""

    DOWNLOAD = "download"
    LOAD = "load"
    """The model is being loaded into the engine process."""
    SEGMENT = "segment"
    INFLATE = "inflate"
    GENERATE = "generate"
    TEXTURE = "texture"
    EXPORT = "export"
    UPLOAD = "upload"
