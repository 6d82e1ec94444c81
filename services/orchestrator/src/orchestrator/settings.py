"""The orchestrator's environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.settings import BusSettings, DatabaseSettings, LogRetentionSettings, ServiceSettings


class OrchestratorSettings(ServiceSettings, BusSettings, DatabaseSettings, LogRetentionSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    port: int = 8001
    lease_ttl_seconds: Annotated[float, Field(gt=0)] = 15.0
    """How long an attempt may go without a heartbeat before the next one is started."""
    execution_grace_seconds: Annotated[float, Field(ge=0)] = 1200.0
    """Beyond the execution timeout, which the worker enforces itself and which counts the engine's run only: room for fetching
    the input, loading the model and storing the outputs. A worker that is gone is noticed by its lease, long before."""
    window_per_slot: Annotated[float, Field(gt=0)] = 1.0
    """Attempts on the bus, not yet taken, per slot of the live workers. More hides latency, less keeps priorities exact."""
    max_batch: Annotated[int, Field(ge=1)] = 500
    """Messages per commit."""
    sweep_interval_seconds: Annotated[float, Field(gt=0)] = 1.0
    redispatch_after_seconds: Annotated[float, Field(gt=0)] = 10.0
    """An attempt on the bus for longer, while its queue is empty, is said again."""
    relay_patience_seconds: Annotated[float, Field(gt=0)] = 5.0
    """An event unpublished for longer was left behind by a crash, and is published by whoever finds it."""
    census_interval_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Between two counts of jobs, workers and queues, for the metrics: as often as an autoscaler or an alert may want to know."""
    retell_margin_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """A broker that lost its data is told again what it may have lost: all events since its queues were last seen empty, and
    this much before. A subscriber tries a delivery for 900 s, and its queue may look empty meanwhile."""
