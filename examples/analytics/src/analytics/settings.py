"""The environment of the subscriber."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from service_kit.environment import EnvironmentSettings
from service_kit.logging.settings import LogSettings
from service_kit.settings import BusSettings


class ArchiveSettings(EnvironmentSettings):
    """What is needed to ask the files; the broker is not."""

    analytics_dir: Path = Path("analytics-data")
    """Where the Parquet files are, and the checkpoint beside them. One follower at a time writes there."""


class FollowSettings(ArchiveSettings, BusSettings, LogSettings):
    """What is needed to read the stream. The user in RABBITMQ_URL needs nothing but to read the queue `analytics.events`."""

    roll_seconds: Annotated[float, Field(gt=0)] = 60.0
    """So long an event may wait for its file: what a query may lack. A quiet system writes no files."""
    roll_bytes: Annotated[int, Field(ge=1)] = 32_000_000
    """As soon as so much waits, as JSON, it becomes a file; what waits is held in memory. Parquet is about a tenth of it."""
    startup_patience_seconds: Annotated[float, Field(ge=0)] = 60.0
    """How long the broker is waited for at start, before the process ends with its error. Later it is waited for without end."""
