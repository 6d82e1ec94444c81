"""Takes spans to the collector, in a thread of its own: no request waits for it, and its outage stops nothing."""

import threading
import time
from collections import deque

import structlog
from urllib3.exceptions import HTTPError

from service_kit.metrics import TRACE_SPANS
from service_kit.tracing.collector import Collector, RefusedError
from service_kit.tracing.otlp import encode_request, encode_span
from service_kit.tracing.sampler import EntrySampler
from service_kit.tracing.settings import TracingSettings
from service_kit.tracing.spans import FinishedSpan

log = structlog.get_logger()

_COMPLAIN_EVERY_SECONDS = 60.0


class Exporter:
    """A queue with a bound: what does not fit is dropped and counted, never waited for.

    Sends when a portion is full, or when the oldest span has waited for `OTEL_BSP_SCHEDULE_DELAY`. What the collector does not
    take after some tries is dropped too. What waits is bytes already: thousands of objects that live for seconds would keep the
    garbage collector busy, and a thread that encoded them all at once would hold up the one that answers requests.
    """

    def __init__(self, settings: TracingSettings, resource: bytes, sampler: EntrySampler) -> None:
        self._collector = Collector(settings)
        self._resource = resource
        self._sampler = sampler
        self._portion = settings.bsp_max_export_batch_size
        self._most = settings.bsp_max_queue_size
        self._delay_seconds = settings.bsp_schedule_delay / 1000
        self._queue: deque[bytes] = deque()  # append and popleft need no lock
        self._wake = threading.Event()
        self._closing = False
        self._complained_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="trace exporter", daemon=True)
        self._thread.start()

    def put(self, span: FinishedSpan) -> None:
        waiting = len(self._queue)
        if waiting >= self._most or self._closing:
            TRACE_SPANS.labels("dropped").inc()
            return
        try:
            self._queue.append(encode_span(span))
        except Exception:
            TRACE_SPANS.labels("failed").inc()
            log.exception("tracing.span.not_encoded", span=span.operation.name)
            return
        if waiting + 1 >= self._portion and not self._wake.is_set():
            self._wake.set()

    def samples(self, parent: str | None, context: str, name: str) -> bool:
        return self._sampler(parent, context, name)

    def close(self, timeout_seconds: float) -> None:
        """Sends what waits, and gives up what could not be sent within the time."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_seconds)
        if left := len(self._queue):
            TRACE_SPANS.labels("dropped").inc(left)
            log.warning("tracing.spans.abandoned", count=left)

    def _run(self) -> None:
        while not self._closing:
            is_full = self._wake.wait(self._delay_seconds)
            self._wake.clear()
            waiting = len(self._queue)
            # A request for a few spans costs as much as one for many: those beyond a full portion wait for their time.
            self._send_first(waiting - waiting % self._portion if is_full else waiting)
        self._send_first(len(self._queue))
        self._collector.close()

    def _send_first(self, count: int) -> None:
        while count > 0:
            portion = [self._queue.popleft() for _ in range(min(self._portion, count))]
            count -= len(portion)
            self._send(portion)

    def _send(self, portion: list[bytes]) -> None:
        try:
            refused = self._collector.send(encode_request(portion, self._resource))
        except (HTTPError, RefusedError) as error:
            TRACE_SPANS.labels("failed").inc(len(portion))
            self._complain(len(portion), error)
        except Exception:
            TRACE_SPANS.labels("failed").inc(len(portion))
            log.exception("tracing.export.crashed", count=len(portion))
        else:
            TRACE_SPANS.labels("exported").inc(len(portion) - refused)
            TRACE_SPANS.labels("refused").inc(refused)

    def _complain(self, count: int, error: Exception) -> None:
        """Once a minute: the collector being away is no news every five seconds."""
        if time.monotonic() - self._complained_at >= _COMPLAIN_EVERY_SECONDS:
            self._complained_at = time.monotonic()
            # By its type: the text holds the URL, and that may hold a key.
            reason = str(error) if isinstance(error, RefusedError) else type(error).__name__
            log.warning("tracing.spans.not_exported", count=count, reason=reason)
