"""Who works, how much of them is used, and what goes wrong on their machines."""

from boards.dashboard import Dashboard, Row
from boards.panel import Colour, Graph, Number, Query, Unit
from boards.promql import RATE, mean, per_minute, per_second, quantiles, same_everywhere

_MODEL = 'model=~"$model"'
_RUNNING = same_everywhere("p3d_jobs", by="model", where=f'{_MODEL}, state="RUNNING"')
_SLOTS = same_everywhere("p3d_live_slots", by="model", where=_MODEL)

_FLEET = Row(
    "The fleet, as the orchestrator hears it",
    [
        Graph(
            title="Live workers",
            says="Workers whose heartbeat is fresh, by model; a worker that serves two models counts for both. Includes those on "
            "networks that Prometheus cannot reach.",
            queries=[Query(same_everywhere("p3d_live_workers", by="model", where=_MODEL), "{{model}}")],
        ),
        Graph(
            title="Live slots",
            says="Attempts that the live workers can run at once. A step down that nobody planned: workers died, or the broker "
            "cannot hear them.",
            queries=[Query(_SLOTS, "{{model}}")],
            stacked=True,
        ),
        Graph(
            title="Slots busy",
            says="Running jobs per slot. 100 % with jobs waiting: add workers. Low with jobs waiting: the runbook's "
            "JobsNotStarting.",
            queries=[Query(f"{_RUNNING} / ({_SLOTS} > 0)", "{{model}}")],
            unit=Unit.RATIO,
            highest=1,
        ),
        Number(
            title="Workers lost",
            says="Attempts in the time shown that were tried again because no heartbeat named them. Each is a worker that "
            "crashed, was killed or lost its way to the broker.",
            queries=[
                Query(
                    'round(sum(increase(p3d_retries_total{code="worker_lost"}[$__range]))) or vector(0)', at_once=True
                )
            ],
            steps={1: Colour.YELLOW, 10: Colour.RED},
            width=6,
        ),
        Number(
            title="Handed back",
            says="Attempts in the time shown that stopping workers returned. Normal while workers are upgraded or scaled in.",
            queries=[
                Query(
                    'round(sum(increase(p3d_retries_total{code="worker_shutdown"}[$__range]))) or vector(0)',
                    at_once=True,
                )
            ],
            width=6,
        ),
        Number(
            title="Fenced",
            says="How often in the time shown a worker stopped all its engines because the broker could not hear it.",
            queries=[Query("round(sum(increase(p3d_worker_fenced_total[$__range]))) or vector(0)", at_once=True)],
            steps={1: Colour.RED},
            width=6,
        ),
        Number(
            title="Longest without heartbeat",
            says="Of the running attempts. Heartbeats come every 5 s; after 15 s the attempt counts as lost.",
            queries=[Query(same_everywhere("p3d_lease_age_seconds", where=_MODEL))],
            unit=Unit.SECONDS,
            steps={15: Colour.YELLOW, 45: Colour.RED},
            no_value="none runs",
            width=6,
        ),
    ],
)

_EACH = Row(
    "Each worker that Prometheus reaches",
    [
        Graph(
            title="Slots busy, by worker",
            says="Attempts that each worker runs now, by model. One that stays empty while others are full: see its log.",
            queries=[Query(f"p3d_worker_slots_busy{{{_MODEL}}}", "{{instance}} {{model}}")],
            stacked=True,
        ),
        Graph(
            title="Attempts over",
            says="By worker and outcome. One worker whose attempts fail while others succeed: drain it, see the runbook.",
            queries=[
                Query(
                    per_minute("p3d_worker_attempts_total", by="instance, outcome", where=_MODEL),
                    "{{instance}} {{outcome}}",
                )
            ],
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Graph(
            title="Engine starts, by reason",
            says="replacement: an earlier engine of the slot had ended – it crashed, hung, or its job was cancelled.",
            queries=[
                Query(
                    per_minute("p3d_worker_engine_starts_total", by="instance, reason", where=_MODEL),
                    "{{instance}} {{reason}}",
                )
            ],
            unit=Unit.PER_MINUTE,
            bars=True,
        ),
        Graph(
            title="Memory",
            says="Of the worker's own process; engines are processes of their own and not in it. A line that only grows is a "
            "leak.",
            queries=[Query('process_resident_memory_bytes{job="gpu-worker"}', "{{instance}}")],
            unit=Unit.BYTES,
        ),
        Graph(
            title="Idle between two attempts",
            says="How long warm engines waited for the next attempt: 95 of 100 less.",
            queries=quantiles(
                "p3d_worker_engine_idle_seconds",
                (0.95,),
                by="instance, model",
                where=_MODEL,
                legend="{{instance}} {{model}}",
            ),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Deliveries that came to nothing",
            says="Handed back: no slot became free in time, another worker may take it; many of them mean that "
            "WINDOW_PER_SLOT is "
            "too large. Duplicates: said again by the orchestrator or the broker, harmless.",
            queries=[
                Query(
                    per_minute("p3d_worker_handed_back_deliveries_total", by="model", where=_MODEL),
                    "{{model}} handed back",
                ),
                Query(
                    per_minute("p3d_worker_duplicate_deliveries_total", by="model", where=_MODEL), "{{model}} duplicate"
                ),
            ],
            unit=Unit.PER_MINUTE,
        ),
    ],
)

_FILES = Row(
    "Files",
    [
        Graph(
            title="Download and upload",
            says="Mean time of the two stages that wait for the store.",
            queries=[
                Query(
                    mean("p3d_worker_stage_seconds", by="stage", where=_MODEL + ', stage=~"download|upload"'),
                    "{{stage}}",
                )
            ],
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Storing outputs",
            says="Attempts whose engine is done and whose files are on their way. As many as slots: nothing more is taken.",
            queries=[Query(f"sum by (instance) (p3d_worker_attempts_storing{{{_MODEL}}})", "{{instance}}")],
        ),
        Graph(
            title="Verifying outputs",
            says="From asking the store for an output to knowing its hash, in the artifacts service.",
            queries=quantiles("p3d_output_verify_seconds", (0.5, 0.95)),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Presigned URLs",
            says="Handed out, by kind.",
            queries=[Query(per_second("p3d_presigned_urls_total", by="kind"), "{{kind}}")],
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Graph(
            title="Registered files",
            says="Verified and put on the register, by kind.",
            queries=[Query(per_second("p3d_registered_artifacts_total", by="kind"), "{{kind}}")],
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Graph(
            title="Outcomes said again",
            says="Successes that the orchestrator had not answered yet. Steadily above zero: it does not keep up, or its reports "
            "are lost.",
            queries=[Query(f"sum by (instance) (rate(p3d_worker_repeated_outcomes_total{RATE})) * 60", "{{instance}}")],
            unit=Unit.PER_MINUTE,
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="p3d-workers",
    title="Workers",
    says="Who works, how much of them is used, and what goes wrong on their machines.",
    rows=[_FLEET, _EACH, _FILES],
    per_model=True,
)
