"""Messages as spans: each in the trace of its own job, whatever it travels with."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from libs.service_kit.tests.unit.traced import kept_spans

from contracts import topology
from contracts.attempts import AbortAttempt
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, UserId, WorkerId
from contracts.jobs import JobCancelRequested
from service_kit.tracing import Kind, new_trace, traceparent
from service_kit.tracing.message_spans import processing, publishing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = JobCancelRequested.routing_key


def said(context: str | None) -> CloudEvent[JobCancelRequested]:
    job_id = JobId(uuid4())
    message = JobCancelRequested(job_id=job_id, user_id=UserId(UUID(int=1)), requested_at=NOW)
    return wrap(message, event_id=f"{job_id}/x", source="/t", subject=str(job_id), time=NOW, traceparent=context)


def test_a_batch_is_published_with_a_span_for_each_job_that_is_sampled() -> None:
    sampled, unsampled, untraced = said(new_trace(sampled=True)), said(new_trace(sampled=False)), said(None)
    with kept_spans() as kept, publishing(JobCancelRequested, [sampled, unsampled, untraced], KEY) as events:
        assert events[1:] == [unsampled, untraced], "passed on as they are"
        assert events[0].id == sampled.id
    (span,) = kept
    assert (span.context, span.parent) == (events[0].traceparent, sampled.traceparent)
    assert (span.operation.name, span.operation.kind) == ("publish jobs:job.cancel_requested", Kind.PRODUCER)
    assert span.operation.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "jobs:job.cancel_requested",
        "messaging.rabbitmq.destination.routing_key": "job.cancel_requested",
    }
    assert span.attributes == {
        "messaging.message.id": sampled.id,
        "messaging.batch.message_count": 3,
        "p3d.batch.id": sampled.id,
        "p3d.job.id": sampled.subject,
    }


def test_what_was_not_confirmed_is_an_error_in_each_jobs_trace() -> None:
    events = [said(new_trace(sampled=True)) for _ in range(2)]
    with kept_spans() as kept, pytest.raises(ConnectionError), publishing(JobCancelRequested, events, KEY):
        raise ConnectionError("amqp://user:hunter2@broker")
    assert [span.error for span in kept] == ["ConnectionError", "ConnectionError"]
    assert "hunter2" not in repr(kept)


def test_nothing_is_copied_where_nothing_is_sampled() -> None:
    events = [said(new_trace(sampled=False)), said(None)]
    with kept_spans() as kept, publishing(JobCancelRequested, events, KEY) as published:
        assert published is events
    assert kept == []


def test_a_message_is_processed_under_its_publication() -> None:
    event = said(new_trace(sampled=True))
    with kept_spans() as kept, processing(topology.ORCHESTRATOR_REQUESTS, [event]) as (context,):
        assert traceparent.get() == context, "what is done within is under it"
    (span,) = kept
    assert (span.context, span.parent, span.operation.kind) == (context, event.traceparent, Kind.CONSUMER)
    assert span.operation.name == "process jobs:job.cancel_requested:orchestrator.requests"
    assert traceparent.get() is None


def test_of_a_batch_nothing_is_taken_for_anothers() -> None:
    events = [said(new_trace(sampled=True)), said(new_trace(sampled=False)), said(None)]
    with kept_spans() as kept, processing(topology.ORCHESTRATOR_REQUESTS, events) as contexts:
        assert traceparent.get() is None
        assert contexts[1:] == [events[1].traceparent, None]
    assert [span.context for span in kept] == [contexts[0]]


def test_what_only_one_process_has_is_in_no_name() -> None:
    worker = WorkerId("host-1-abcdef")
    control, key = topology.worker_control(worker), topology.abort_attempt_key(worker)
    abort = AbortAttempt(job_id=JobId(uuid4()), attempt_id=AttemptId(uuid4()), reason=FailureCode.CANCELLED)
    event = wrap(abort, event_id="1", source="/t", subject="j", time=NOW, traceparent=new_trace(sampled=True))
    with kept_spans() as kept, publishing(AbortAttempt, [event], key), processing(control, [event]):
        pass
    assert set(kept.names) == {"publish gpu:attempt.abort", "process gpu:attempt.abort:gpu-worker.control"}
    assert {span.operation.attributes["messaging.destination.name"] for span in kept} == {
        f"gpu:{key}",
        f"gpu:{key}:{control.name}",
    }
