"""Why an attempt, and with it perhaps a job, failed: stable codes that callers may switch on."""

from enum import StrEnum


class FailureCode(StrEnum):
    """Stable for ever: a code may be added, never renamed. `is_retryable` says whether another attempt can help."""

    # The request is at fault: the same request fails again.
    INVALID_IMAGE = "invalid_image"
    """The input is not a readable image (not an image, truncated, empty)."""
    IMAGE_TOO_LARGE = "image_too_large"
    """More pixels than the engine accepts; decided before decoding."""
    UNSUPPORTED_IMAGE = "unsupported_image"
    """An image, but not of a kind the engine can read."""
    NO_FOREGROUND = "no_foreground"
    """No object could be told from the background."""
    INVALID_PARAMETER = "invalid_parameter"
    INPUT_NOT_FOUND = "input_not_found"
    """The uploaded object is gone."""
    ENGINE_FAILED = "engine_failed"
    """The engine raised an error that it does not recognise; trying again would raise it again."""

    # Circumstances are at fault: another attempt may well succeed.
    OUT_OF_MEMORY = "out_of_memory"
    ENGINE_CRASHED = "engine_crashed"
    """The engine process died (signal, CUDA fault) in the middle of the attempt."""
    ENGINE_UNAVAILABLE = "engine_unavailable"
    """The model could not be loaded, or the engine asked for another try."""
    EXECUTION_TIMEOUT = "execution_timeout"
    WORKER_LOST = "worker_lost"
    """The lease lapsed: no heartbeat named the attempt in time."""
    WORKER_SHUTDOWN = "worker_shutdown"
    """The worker is stopping and handed the attempt back. Does not count against `max_attempts`."""
    STORAGE_UNAVAILABLE = "storage_unavailable"
    """Inputs could not be fetched, or outputs not be stored or registered."""

    # Decided by the orchestrator.
    QUEUE_TIMEOUT = "queue_timeout"
    """The job waited longer than its queue deadline."""
    CANCELLED = "cancelled"
    """The attempt stopped because its job was cancelled."""

    @property
    def is_retryable(self) -> bool:
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        FailureCode.OUT_OF_MEMORY,
        FailureCode.ENGINE_CRASHED,
        FailureCode.ENGINE_UNAVAILABLE,
        FailureCode.EXECUTION_TIMEOUT,
        FailureCode.WORKER_LOST,
        FailureCode.WORKER_SHUTDOWN,
        FailureCode.STORAGE_UNAVAILABLE,
    }
)
