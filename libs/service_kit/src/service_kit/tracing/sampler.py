"""Which traces are recorded: decided where they enter the system, by the SDK's samplers and their variables."""

from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from service_kit.tracing.context import is_sampled, span_id_of, trace_id_of


class EntrySampler:
    """From there on the flag decides that travels with the context, in every service: a trace is recorded whole or not at all."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def __call__(self, parent: str | None, context: str, name: str) -> bool:
        """Whether the span `context` is to be recorded. `parent` is the caller's, if there is one."""
        around = None if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)))
        decision = self._sampler.should_sample(around, int(trace_id_of(context), 16), name).decision
        return decision is Decision.RECORD_AND_SAMPLE


def _remote(parent: str) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled(parent) else TraceFlags.DEFAULT)
    return SpanContext(int(trace_id_of(parent), 16), int(span_id_of(parent), 16), is_remote=True, trace_flags=flags)
