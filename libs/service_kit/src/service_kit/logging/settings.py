"""How a process logs."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from service_kit.environment import EnvironmentSettings


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _levels_by_logger(value: object) -> object:
    if not isinstance(value, str):
        return value
    levels: dict[str, LogLevel] = {}
    for pair in filter(None, (part.strip() for part in value.split(","))):
        name, _, level = (part.strip() for part in pair.partition("="))
        if not name or level.upper() not in LogLevel.__members__:
            raise ValueError(f"{pair!r} is not logger=LEVEL with one of {', '.join(LogLevel)}; commas go between")
        levels[name] = LogLevel[level.upper()]
    return levels


class LogSettings(EnvironmentSettings):
    log_format: LogFormat = Field(default_factory=lambda: LogFormat.CONSOLE if sys.stdout.isatty() else LogFormat.JSON)
    """Without a setting: whoever starts it in a terminal reads it there, anybody else has it collected."""
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = LogLevel.INFO
    log_levels: Annotated[Mapping[str, LogLevel], NoDecode, BeforeValidator(_levels_by_logger)] = Field(
        default_factory=dict
    )
    """Of single loggers, such as ``aio_pika=DEBUG,orchestrator.relay=DEBUG``; each stands for those below it."""


class AccessLogSettings(EnvironmentSettings):
    """Which requests are worth a line; the metrics count them all."""

    access_log_every_nth: Annotated[int, Field(ge=0)] = 100
    """Of the requests that went well; 0: none of them. They say the same each time, and there are hundreds a second."""
    slow_request_ms: Annotated[float, Field(gt=0)] = 1000.0
    """A request that took longer has a line though it went well. One that waits for the broker's confirm takes some ten."""
