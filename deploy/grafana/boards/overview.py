"""What waits, what runs, what fails, and why: the first page to open."""

from boards.dashboard import Dashboard, Row
from boards.panel import Colour, Graph, Number, Query, Table, Unit
from boards.promql import per_minute, per_second, quantiles, same_everywhere

_API = 'job="gateway", route=~"/api/.*"'
_WAITING = same_everywhere("p3d_jobs", by="model", where='state="QUEUED"')
_RUNNING = same_everywhere("p3d_jobs", by="model", where='state="RUNNING"')
_SLOTS = same_everywhere("p3d_live_slots", by="model")

_WELL = Row(
    "Is it well?",
    [
        Number(
            title="Alerts firing",
            says="Each is explained in the runbook (docs/guides/runbook.md) under its name.",
            queries=[Query('count(ALERTS{alertstate="firing"}) or vector(0)')],
            steps={1: Colour.RED},
        ),
        Number(
            title="Jobs waiting",
            says="Accepted and not running, back-offs included. Waiting is no fault while slots are busy: see *Oldest waiting*.",
            queries=[Query(f"sum({_WAITING})")],
        ),
        Number(
            title="Jobs running",
            says="Taken by a worker.",
            queries=[Query(f"sum({_RUNNING})")],
        ),
        Number(
            title="Oldest waiting",
            says="The age of the job that has waited longest. Minutes: add workers, or see in *A model* why slots stay empty.",
            queries=[Query(same_everywhere("p3d_oldest_queued_seconds"))],
            unit=Unit.SECONDS,
            steps={600: Colour.YELLOW, 1800: Colour.RED},
        ),
        Number(
            title="Jobs over",
            says="Per minute, however they ended.",
            queries=[Query(per_minute("p3d_jobs_ended_total"))],
            unit=Unit.PER_MINUTE,
            decimals=1,
        ),
        Number(
            title="Failed, our fault",
            says="Share of the jobs that ended in the last half hour and failed for reasons not their own. "
            "Bad images and bad parameters are not counted.",
            queries=[Query("max(system:p3d_jobs_failed_by_us:ratio_rate30m)")],
            unit=Unit.RATIO,
            steps={0.05: Colour.YELLOW, 0.1: Colour.RED},
            no_value="none ended",
        ),
        Number(
            title="Slots busy",
            says="Running jobs per slot of the live workers. At 100 % with jobs waiting, only more workers help.",
            queries=[Query(f"sum({_RUNNING}) / (sum({_SLOTS}) > 0)")],
            unit=Unit.RATIO,
            no_value="no worker",
        ),
        Number(
            title="API errors",
            says="Share of requests that were answered 5xx, in the last five minutes. The aim is less than 0.1 % over 30 days.",
            queries=[Query("max(gateway:p3d_http_errors:ratio_rate5m)")],
            unit=Unit.RATIO,
            steps={0.001: Colour.YELLOW, 0.01: Colour.RED},
            no_value="no requests",
        ),
    ],
)

_JOBS = Row(
    "Jobs",
    [
        Graph(
            title="Waiting",
            says="By model. A model whose line only grows has too few slots, or none: compare *Live slots* in *Workers*.",
            queries=[Query(_WAITING, "{{model}}")],
            stacked=True,
        ),
        Graph(
            title="Running",
            says="By model. Flat at the number of slots: all of them work.",
            queries=[Query(_RUNNING, "{{model}}")],
            stacked=True,
        ),
        Graph(
            title="Over",
            says="How jobs ended. Cancelled ones were cancelled by their users.",
            queries=[Query(per_minute("p3d_jobs_ended_total", by="state"), "{{state}}")],
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Graph(
            title="How long jobs wait",
            says="From acceptance to the first start, by model: half of the jobs, and 95 of 100, wait less.",
            queries=quantiles("p3d_job_wait_seconds", (0.5, 0.95), by="model", legend="{{model}}"),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="How long jobs run",
            says="From the first start to the end, further attempts and the waits between them included, by model.",
            queries=quantiles("p3d_job_run_seconds", (0.5, 0.95), by="model", legend="{{model}}"),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Attempts tried again, by reason",
            says="Each is work done twice. worker_lost: workers die; out_of_memory: too many slots for the card; "
            "storage_unavailable: the store; execution_timeout: the engine hangs or the timeout is too short.",
            queries=[Query(per_minute("p3d_retries_total", by="code"), "{{code}}")],
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
    ],
)

_API_ROW = Row(
    "API",
    [
        Graph(
            title="Requests",
            says="By route, of all gateways.",
            queries=[
                Query(
                    per_second("p3d_http_request_seconds_count", by="method, route", where=_API), "{{method}} {{route}}"
                )
            ],
            unit=Unit.REQUESTS_PER_SECOND,
        ),
        Graph(
            title="Answers that are errors",
            says="4xx is the caller's mistake; 503 means that the broker, the database or the artifacts service is away, and is "
            "safe to repeat; 500 is a bug: search the log for http.request.crashed.",
            queries=[
                Query(
                    per_second("p3d_http_request_seconds_count", by="route, status", where=_API + ', status=~"[45].."'),
                    "{{status}} {{route}}",
                )
            ],
            unit=Unit.REQUESTS_PER_SECOND,
            stacked=True,
        ),
        Graph(
            title="Time to answer",
            says="Of all routes together. The aim: 99 of 100 within 250 ms.",
            queries=quantiles("p3d_http_request_seconds", (0.5, 0.95, 0.99), where=_API),
            unit=Unit.SECONDS,
            steps={0.25: Colour.RED},
        ),
    ],
)

_WHY = Row(
    "Why",
    [
        Table(
            title="Alerts",
            says="What fires or is about to. The runbook has a section under each name.",
            queries=[Query("max by (alertname, alertstate, severity, model, queue, job, loop) (ALERTS)", at_once=True)],
            columns={
                "alertname": "alert",
                "alertstate": "state",
                "severity": "severity",
                "model": "model",
                "queue": "queue",
                "job": "service",
                "loop": "loop",
            },
            value="",
            width=12,
        ),
        Table(
            title="Failed jobs, by reason",
            says="In the time shown. The codes are explained in the API's documentation; invalid_… and no_foreground are the "
            "caller's, the others are ours.",
            queries=[
                Query(
                    'round(sum by (model, code) (increase(p3d_jobs_ended_total{state="FAILED"}[$__range]))) > 0',
                    at_once=True,
                )
            ],
            columns={"model": "model", "code": "reason"},
            value="jobs",
            width=12,
        ),
    ],
)

_SERVICES = Row(
    "Services",
    [
        Graph(
            title="Processes that answer",
            says="Replicas that Prometheus reaches. Workers on other networks are not scraped: count them in *Workers*.",
            queries=[Query('sum by (job) (up{job=~"gateway|orchestrator|artifacts|gpu-worker"})', "{{job}}")],
        ),
        Table(
            title="Versions",
            says="Two versions of one service are normal during an upgrade only.",
            queries=[Query("count by (service, version) (p3d_build_info)", at_once=True)],
            columns={"service": "service", "version": "version"},
            value="processes",
        ),
        Graph(
            title="CPU",
            says="Cores in use, by service. One process of ours uses one core at most (engines run in processes of their own).",
            queries=[Query(per_second("process_cpu_seconds_total", by="job"), "{{job}}")],
            unit=Unit.NONE,
            stacked=True,
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="p3d-overview",
    title="Overview",
    says="What waits, what runs, what fails, and why.",
    rows=[_WELL, _JOBS, _API_ROW, _WHY, _SERVICES],
)
