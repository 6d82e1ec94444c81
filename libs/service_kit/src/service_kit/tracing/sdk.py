"""What is taken from OpenTelemetry's SDK: how it reads the sampler and the resource from the environment."""

from opentelemetry.sdk import resources
from opentelemetry.sdk.trace import TracerProvider

from service_kit.tracing.otlp import encode_resource
from service_kit.tracing.sampler import EntrySampler


def sampler_and_resource(defaults: dict[str, str]) -> tuple[EntrySampler, bytes]:
    """By OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG; `defaults` under OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME."""
    resource = resources.Resource(defaults).merge(resources.OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    attributes = {key: str(value) for key, value in resource.attributes.items()}
    return EntrySampler(provider.sampler), encode_resource(attributes)
