"""The standard variables of OpenTelemetry, as far as spans need them.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and …/protocol/exporter/. The sampler and the
resource (OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME) are read by the SDK itself.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import SettingsConfigDict

from service_kit.environment import EnvironmentSettings

_TRACES_PATH = "v1/traces"


class TracingSettings(EnvironmentSettings):
    """Where spans go, and in what portions. A `traces` variable goes before the general one of the same name."""

    model_config = SettingsConfigDict(env_prefix="otel_")

    sdk_disabled: bool = False
    traces_exporter: Literal["otlp", "none"] = "otlp"
    exporter_otlp_endpoint: HttpUrl | None = None
    """The collector's base URL. Without one, tracing is off: nobody asked for it."""
    exporter_otlp_traces_endpoint: HttpUrl | None = None
    """The whole URL."""
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_traces_protocol: Literal["http/protobuf"] | None = None
    exporter_otlp_headers: SecretStr = SecretStr("")
    """``name=value,…``, the values percent-encoded. May hold a key."""
    exporter_otlp_traces_headers: SecretStr | None = None
    exporter_otlp_timeout: Annotated[float, Field(gt=0)] = 10_000.0
    """Milliseconds that one delivery may take."""
    exporter_otlp_traces_timeout: Annotated[float, Field(gt=0)] | None = None
    exporter_otlp_compression: Literal["none", "gzip"] = "none"
    """Off by default, as the specification has it: to compress a span takes as long as to make it."""
    exporter_otlp_traces_compression: Literal["none", "gzip"] | None = None
    exporter_otlp_certificate: Path | None = None
    """Of the authority that signed the collector's; else those that the system trusts."""
    exporter_otlp_traces_certificate: Path | None = None
    exporter_otlp_client_certificate: Path | None = None
    exporter_otlp_traces_client_certificate: Path | None = None
    exporter_otlp_client_key: Path | None = None
    exporter_otlp_traces_client_key: Path | None = None
    bsp_schedule_delay: Annotated[float, Field(gt=0)] = 5_000.0
    """Milliseconds that a span waits for others at most."""
    bsp_max_export_batch_size: Annotated[int, Field(ge=1)] = 512
    bsp_max_queue_size: Annotated[int, Field(ge=1)] = 8_192
    """Spans that wait in memory, about 1 KB each, while the collector does not take them; what comes then is dropped, and
    counted. Four times the specification's default: a process here makes 2,000 a second."""

    @property
    def endpoint(self) -> str | None:
        """The URL that spans are sent to; None: tracing is off."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return None
        if self.exporter_otlp_traces_endpoint is not None:
            return str(self.exporter_otlp_traces_endpoint)
        if self.exporter_otlp_endpoint is not None:
            return f"{str(self.exporter_otlp_endpoint).rstrip('/')}/{_TRACES_PATH}"
        return None

    @property
    def headers(self) -> dict[str, str]:
        said = self.exporter_otlp_traces_headers or self.exporter_otlp_headers
        pairs = (pair.partition("=") for pair in said.get_secret_value().split(",") if "=" in pair)
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}

    @property
    def timeout_seconds(self) -> float:
        return (self.exporter_otlp_traces_timeout or self.exporter_otlp_timeout) / 1000

    @property
    def compresses(self) -> bool:
        return (self.exporter_otlp_traces_compression or self.exporter_otlp_compression) == "gzip"

    @property
    def certificate(self) -> Path | None:
        return self.exporter_otlp_traces_certificate or self.exporter_otlp_certificate

    @property
    def client_certificate(self) -> Path | None:
        return self.exporter_otlp_traces_client_certificate or self.exporter_otlp_client_certificate

    @property
    def client_key(self) -> Path | None:
        return self.exporter_otlp_traces_client_key or self.exporter_otlp_client_key
