"""Everything about one model: its backlog, its times, its failures, its engine."""

from boards.dashboard import Dashboard, Row
from boards.panel import Colour, Graph, Heatmap, Number, Query, Table, Unit
from boards.promql import RATE, mean, per_minute, quantiles, same_everywhere

_MODEL = 'model=~"$model"'
_WAITING = same_everywhere("p3d_jobs", by="model", where=f'{_MODEL}, state="QUEUED"')
_RUNNING = same_everywhere("p3d_jobs", by="model", where=f'{_MODEL}, state="RUNNING"')
_SLOTS = same_everywhere("p3d_live_slots", by="model", where=_MODEL)

_NOW = Row(
    "Now",
    [
        Number(
            title="Waiting",
            says="Jobs of the chosen models that are accepted and not running.",
            queries=[Query(f"sum({_WAITING})")],
            width=4,
        ),
        Number(
            title="Running",
            says="Taken by a worker.",
            queries=[Query(f"sum({_RUNNING})")],
            width=4,
        ),
        Number(
            title="Oldest waiting",
            says="Minutes with free slots: the runbook's JobsNotStarting. Minutes without: add workers.",
            queries=[Query(same_everywhere("p3d_oldest_queued_seconds", where=_MODEL))],
            unit=Unit.SECONDS,
            steps={600: Colour.YELLOW, 1800: Colour.RED},
            width=4,
        ),
        Number(
            title="Live slots",
            says="Jobs that the live workers can run at once, as the orchestrator knows from heartbeats. 0: nobody serves it.",
            queries=[Query(f"sum({_SLOTS}) or vector(0)")],
            width=4,
        ),
        Number(
            title="Failed, our fault",
            says="Share of the jobs that ended in the last half hour; the worst of the chosen models.",
            queries=[Query(f"max(model:p3d_jobs_failed_by_us:ratio_rate30m{{{_MODEL}}})")],
            unit=Unit.RATIO,
            steps={0.05: Colour.YELLOW, 0.1: Colour.RED},
            no_value="none ended",
            width=4,
        ),
        Number(
            title="Longest without heartbeat",
            says="Of the running attempts, the time since its lease was last renewed. Heartbeats come every 5 s; after 15 s the "
            "attempt counts as lost and is tried again.",
            queries=[Query(same_everywhere("p3d_lease_age_seconds", where=_MODEL))],
            unit=Unit.SECONDS,
            steps={15: Colour.YELLOW, 45: Colour.RED},
            no_value="none runs",
            width=4,
        ),
    ],
)

_BACKLOG = Row(
    "Backlog and dispatch",
    [
        Graph(
            title="Waiting, running, slots",
            says="Waiting above zero while running is below the slots: jobs do not reach the workers.",
            queries=[
                Query(_WAITING, "{{model}} waiting"),
                Query(_RUNNING, "{{model}} running"),
                Query(_SLOTS, "{{model}} slots"),
            ],
        ),
        Graph(
            title="Backlog",
            says="Waiting and under way: what an autoscaler should count.",
            queries=[Query(same_everywhere("p3d_backlog", by="model", where=_MODEL), "{{model}}")],
        ),
        Graph(
            title="Dispatch window",
            says="Attempts on the bus that no worker has taken yet, and how many there may be. At its limit all the time: "
            "workers "
            "are slow to take; empty with jobs waiting: the dispatcher stands still.",
            queries=[
                Query(same_everywhere("p3d_dispatched", by="model", where=_MODEL), "{{model}} on the bus"),
                Query(same_everywhere("p3d_dispatch_window", by="model", where=_MODEL), "{{model}} window"),
            ],
        ),
    ],
)

_TIMES = Row(
    "Times",
    [
        Heatmap(
            title="How long jobs wait",
            says="From acceptance to the first start.",
            queries=[
                Query(
                    f"sum by (le) (increase(p3d_job_wait_seconds_bucket{{{_MODEL}}}{RATE}))", "{{le}}", as_heatmap=True
                )
            ],
            unit=Unit.SECONDS,
        ),
        Graph(
            title="How long jobs run",
            says="From the first start to the end, further attempts and the waits between them included.",
            queries=quantiles("p3d_job_run_seconds", (0.5, 0.95), by="model", where=_MODEL, legend="{{model}}"),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Stages of successful attempts",
            says="Mean time of each stage, stacked: where the time goes. Growing download or upload: the store or the network; "
            "load: engines are started too often.",
            queries=[Query(mean("p3d_worker_stage_seconds", by="model, stage", where=_MODEL), "{{model}} {{stage}}")],
            unit=Unit.SECONDS,
            stacked=True,
        ),
    ],
)

_OUTCOMES = Row(
    "Outcomes",
    [
        Graph(
            title="Jobs over",
            says="By how they ended.",
            queries=[Query(per_minute("p3d_jobs_ended_total", by="model, state", where=_MODEL), "{{model}} {{state}}")],
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Graph(
            title="Attempts over",
            says="By outcome and reason. More attempts than jobs over means work done twice.",
            queries=[
                Query(
                    per_minute("p3d_attempts_ended_total", by="model, outcome, code", where=_MODEL),
                    "{{model}} {{outcome}} {{code}}",
                )
            ],
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Table(
            title="Failed jobs, by reason",
            says="In the time shown.",
            queries=[
                Query(
                    f'round(sum by (model, code) (increase(p3d_jobs_ended_total{{{_MODEL}, state="FAILED"}}[$__range]))) > 0',
                    at_once=True,
                )
            ],
            columns={"model": "model", "code": "reason"},
            value="jobs",
        ),
    ],
)

_ENGINE = Row(
    "Engine",
    [
        Graph(
            title="Idle between two attempts",
            says="How long a warm engine waited for its next attempt. With jobs waiting this is the price of dispatching: it "
            "should stay far below the run time.",
            queries=quantiles(
                "p3d_worker_engine_idle_seconds", (0.5, 0.95), by="model", where=_MODEL, legend="{{model}}"
            ),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Engine starts",
            says="Loading a model takes seconds to minutes. replacement: an earlier engine of the slot had ended – it crashed, "
            "hung, or its job was cancelled.",
            queries=[
                Query(
                    per_minute("p3d_worker_engine_starts_total", by="model, reason", where=_MODEL),
                    "{{model}} {{reason}}",
                )
            ],
            unit=Unit.PER_MINUTE,
            bars=True,
        ),
        Graph(
            title="Storing outputs",
            says="Attempts whose engine is done and whose files are on their way to the store. As many as slots: the worker "
            "takes "
            "nothing more until the store keeps up.",
            queries=[Query(f"sum by (model) (p3d_worker_attempts_storing{{{_MODEL}}})", "{{model}}")],
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="p3d-model",
    title="A model",
    says="The backlog, the times, the failures and the engine of the chosen models.",
    rows=[_NOW, _BACKLOG, _TIMES, _OUTCOMES, _ENGINE],
    per_model=True,
)
