"""The two sides a worker has: an orchestrator on a real RabbitMQ, and a small real HTTP server for artifacts and store."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from aiohttp import web

from contracts import artifacts_api as api
from contracts import topology
from contracts.attempts import (
    AbortAttempt,
    AttemptFailed,
    AttemptProgressed,
    AttemptReport,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
    RunAttempt,
)
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, ObjectName, UserId, WorkerId
from contracts.workers import WorkerHeartbeat
from gpu_worker.app import build_app
from gpu_worker.settings import GpuWorkerSettings
from service_kit.bus import Bus

TOKEN = "worker-token-of-the-tests"
SIMULATED = ModelId("simulated-v1")
TRACEPARENT = "00-11111111111111111111111111111111-2222222222222222-01"

R = TypeVar("R", bound=AttemptReport)


async def until(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """The condition's value, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(0.01)
    return value


class Orchestrator:
    """Sends attempts and hears what workers say of them."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url, service="tests")
        self.events: list[CloudEvent[Any]] = []
        self.heartbeats: list[WorkerHeartbeat] = []
        telemetry = topology.gateway_telemetry(uuid4().hex[:8])
        for message_type in topology.ORCHESTRATOR_REPORTS.hears:
            self.bus.on(topology.ORCHESTRATOR_REPORTS, message_type)(self._on_reports)
        self.bus.on(telemetry, AttemptProgressed)(self._on_reports)
        self.bus.on(telemetry, WorkerHeartbeat)(self._on_heartbeats)

    async def start(self) -> None:
        await self.bus.start()
        await self.bus.declare(topology.worker_tasks(SIMULATED))  # so that tasks can be sent before a worker is up

    async def _on_reports(self, events: Sequence[CloudEvent[Any]]) -> None:
        self.events += events

    async def _on_heartbeats(self, events: Sequence[CloudEvent[WorkerHeartbeat]]) -> None:
        self.heartbeats += [event.data for event in events]

    async def send(self, *tasks: RunAttempt) -> None:
        """Each in a message of its own."""
        await asyncio.gather(*(self.send_together(task) for task in tasks))

    async def send_together(self, *tasks: RunAttempt) -> None:
        events = [
            wrap(
                task,
                event_id=f"{task.attempt_id}/run",
                source="/orchestrator",
                subject=str(task.job_id),
                time=datetime.now(UTC),
                traceparent=TRACEPARENT,
            )
            for task in tasks
        ]
        await self.bus.publish(RunAttempt, events, routing_key=topology.run_attempt_key(tasks[0].model_id))

    async def abort(self, task: RunAttempt, worker_id: WorkerId, reason: FailureCode = FailureCode.CANCELLED) -> None:
        abort = AbortAttempt(job_id=task.job_id, attempt_id=task.attempt_id, reason=reason)
        event = wrap(
            abort, event_id=str(uuid4()), source="/orchestrator", subject=str(task.job_id), time=datetime.now(UTC)
        )
        await self.bus.publish(AbortAttempt, [event], routing_key=topology.abort_attempt_key(worker_id))

    async def waiting_tasks(self, count: int) -> None:
        """Returns when so many tasks lie in the queue, ready for any worker."""
        queue = topology.worker_tasks(SIMULATED)
        async with asyncio.timeout(10):
            while await self.bus.ready_messages(queue) != count:  # noqa: ASYNC110  the broker sends no event for this
                await asyncio.sleep(0.02)

    async def warm_up(self) -> None:
        """Has the worker load its engine, and forgets what was said about that."""
        attempt = task()
        await self.send(attempt)
        await self.outcome(attempt)
        self.events.clear()

    def said(self, kind: type[R], task: RunAttempt | None = None) -> list[R]:
        """What was said so far, of one attempt or of all."""
        return [
            event.data
            for event in self.events
            if isinstance(event.data, kind) and (task is None or event.data.attempt_id == task.attempt_id)
        ]

    async def hears(self, kind: type[R], task: RunAttempt, *, seconds: float = 15.0) -> R:
        found: list[R] = await until(lambda: self.said(kind, task), seconds=seconds)
        return found[0]

    async def outcome(self, task: RunAttempt, *, seconds: float = 15.0) -> AttemptSucceeded | AttemptFailed:
        def either() -> list[AttemptSucceeded | AttemptFailed]:
            return [*self.said(AttemptSucceeded, task), *self.said(AttemptFailed, task)]

        found: list[AttemptSucceeded | AttemptFailed] = await until(either, seconds=seconds)
        return found[0]

    def story(self, task: RunAttempt) -> list[str]:
        """The kinds of reports about an attempt, in order of arrival, telemetry left out."""
        return [
            type(event.data).__name__
            for event in self.events
            if event.data.attempt_id == task.attempt_id and not isinstance(event.data, AttemptProgressed)
        ]


def task(*, timeout_seconds: float = 60.0, input_object: str | None = None, **params: Any) -> RunAttempt:
    """An attempt of simulated-v1 that, unless told otherwise, is over at once and makes no file."""
    return RunAttempt(
        job_id=JobId(uuid4()),
        attempt_id=AttemptId(uuid4()),
        attempt=1,
        user_id=UserId(uuid4()),
        model_id=SIMULATED,
        input_params={"duration_seconds": 0, "steps": 1, "output_bytes": 0} | params,
        input_object=None if input_object is None else ObjectName(input_object),
        execution_timeout_seconds=timeout_seconds,
    )


@dataclass
class Storage:
    """Artifacts service and object store in one."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    registered: list[api.RegistrationRequest] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    """Statuses with which the next requests are answered."""
    away: bool = False
    """Every request is answered as by one that restarts."""
    expired_grants: int = 0
    """So many of the next grants hold URLs that have expired."""
    forgotten_uploads: int = 0
    """So many of the next uploads are confirmed, and then lost."""
    failing_registrations: int = 0
    """So many of the next registrations are answered with 500."""
    requests: list[str] = field(default_factory=list)
    uploading: asyncio.Event = field(default_factory=asyncio.Event)
    hold_uploads: bool = False

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28, middlewares=[self._note])
        app.router.add_post(api.INPUT_GRANTS_PATH, self._grant_input)
        app.router.add_post(api.OUTPUT_GRANTS_PATH, self._grant_outputs)
        app.router.add_post(api.REGISTRATIONS_PATH, self._register)
        app.router.add_get("/store/{name:.+}", self._get)
        app.router.add_put("/store/{name:.+}", self._put)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.away:
            return web.Response(status=503)
        if self.refusals:
            return web.json_response({"detail": "not just now"}, status=self.refusals.pop(0))
        internal = request.path.startswith("/internal/")
        if internal != (request.headers.get("Authorization") == f"Bearer {TOKEN}"):
            return web.json_response({"detail": "the token belongs to the internal routes, and only there"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _grant_input(self, request: web.Request) -> web.Response:
        asked = api.InputGrantRequest.model_validate_json(await request.read())
        if asked.input_object not in self.objects:
            return web.json_response({"code": "upload_not_found", "detail": "no such upload"}, status=404)
        url = f"{self.url}/store/{asked.input_object}?{self._signature()}"
        return self._answer(api.InputGrant(url=url, expires_in=60))

    async def _grant_outputs(self, request: web.Request) -> web.Response:
        asked = api.OutputGrantRequest.model_validate_json(await request.read())
        signature = self._signature()
        uploads = tuple(
            api.OutputUpload(
                name=output.name,
                url=f"{self.url}/store/jobs/{asked.job_id}/{asked.attempt_id}/{output.name}?{signature}",
                headers={"Content-Type": output.content_type},
            )
            for output in asked.outputs
        )
        return self._answer(api.OutputGrant(uploads=uploads, expires_in=60))

    async def _register(self, request: web.Request) -> web.Response:
        if self.failing_registrations:
            self.failing_registrations -= 1
            return web.Response(status=500)
        asked = api.RegistrationRequest.model_validate_json(await request.read())
        for output in asked.outputs:
            stored = self.objects.get(f"jobs/{asked.job_id}/{asked.attempt_id}/{output.name}", b"")
            if hashlib.sha256(stored).hexdigest() != output.sha256 or len(stored) != output.size_bytes:
                return web.json_response({"code": "output_mismatch", "detail": output.name}, status=409)
        self.registered.append(asked)
        return self._answer(api.Registration(registered=tuple(output.name for output in asked.outputs)))

    async def _get(self, request: web.Request) -> web.Response:
        if "a%2Fb%2Bc" not in request.raw_path:
            return web.Response(status=403)
        content = self.objects.get(request.match_info["name"])
        if content is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        return web.Response(body=content)

    async def _put(self, request: web.Request) -> web.Response:
        self.uploading.set()
        if "a%2Fb%2Bc" not in request.raw_path or "Content-Length" not in request.headers:
            return web.Response(status=403)
        if self.hold_uploads:
            await asyncio.sleep(60)
        content = await request.read()
        if self.forgotten_uploads:
            self.forgotten_uploads -= 1
        else:
            self.objects[request.match_info["name"]] = content
        return web.Response()

    def _signature(self) -> str:
        if self.expired_grants:
            self.expired_grants -= 1
            return "X-Signature=expired"
        return "X-Signature=a%2Fb%2Bc"

    def _answer(self, model: Any) -> web.Response:
        return web.Response(text=model.model_dump_json(), content_type="application/json")


@dataclass(frozen=True, slots=True)
class RunningWorker:
    worker_id: WorkerId
    settings: GpuWorkerSettings


StartWorker = Callable[..., Any]


@asynccontextmanager
async def running_worker(settings: GpuWorkerSettings) -> AsyncIterator[RunningWorker]:
    app = build_app(settings)
    async with app.router.lifespan_context(app):
        yield RunningWorker(app.state.worker_id, settings)


__all__ = [
    "SIMULATED",
    "TOKEN",
    "TRACEPARENT",
    "AttemptFailed",
    "AttemptProgressed",
    "AttemptStageChanged",
    "AttemptStarted",
    "AttemptSucceeded",
    "Orchestrator",
    "RunningWorker",
    "Storage",
    "running_worker",
    "task",
    "until",
]
