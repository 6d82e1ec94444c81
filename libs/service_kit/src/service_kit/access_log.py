"""Which requests are worth a line in the log. All of them are in the metrics, and in the traces as far as those are sampled."""

from typing import Any

import structlog
from starlette.types import Scope

from service_kit.logging.budget import Budget
from service_kit.logging.settings import AccessLogSettings
from service_kit.measure_requests import route_of

log = structlog.get_logger()

_BURST = 20
_PER_SECOND = 1
"""Of each refusal, by its status, and of slow requests: a client that means harm gets as many refusals as it likes, and cannot
fill the log with them. The next line says how many were left out."""
_LONGEST_PATH = 200


class AccessLog:
    """Every failure of ours (5xx); refusals (4xx) and slow requests within a budget; every nth of the rest; no health checks."""

    def __init__(self, settings: AccessLogSettings) -> None:
        self._every_nth_success = settings.access_log_every_nth
        self._slow_ms = settings.slow_request_ms
        self._successes = 0
        self._budgets: dict[int | str, Budget] = {}

    def __call__(self, scope: Scope, status: int, duration_ms: float) -> None:
        if scope["path"].startswith("/health/"):
            return  # who asks reads the answer; a service that starts would fill the log with 503
        if status >= 500:
            # As a warning, and so within the budget that every kind of warning has: an outage may answer all requests with 503.
            log.warning("http.request.failed", **_described(scope, status, duration_ms))
            return
        if duration_ms >= self._slow_ms:
            more = self._budget("slow").take()
        elif status >= 400:
            more = self._budget(status).take()
        else:
            more = self._sample()
        if more is not None:
            log.info("http.request.answered", **_described(scope, status, duration_ms), **more)

    def _budget(self, kind: int | str) -> Budget:
        return self._budgets.setdefault(kind, Budget(_BURST, _PER_SECOND))

    def _sample(self) -> dict[str, int] | None:
        self._successes += 1
        if self._every_nth_success == 0 or self._successes % self._every_nth_success:
            return None
        return {"left_out": self._every_nth_success - 1}


def _described(scope: Scope, status: int, duration_ms: float) -> dict[str, Any]:
    """Never the query string: a presigned URL's is a credential, and a caller may put a key there by mistake."""
    described = {
        "method": scope["method"],
        "route": route_of(scope),
        "path": scope["path"][:_LONGEST_PATH],
        "status": status,
        "duration_ms": round(duration_ms, 1),
    }
    if (job_id := scope.get("path_params", {}).get("job_id")) is not None:
        described["job_id"] = str(job_id)
    return described
