"""Whether what is said is heard: queues, lags, dead letters, the broker, the databases, the background loops."""

from boards.dashboard import Dashboard, Row
from boards.panel import Colour, Graph, Number, Query, Table, Unit
from boards.promql import mean, per_minute, per_second, quantiles, same_everywhere

_NOW = Row(
    "Now",
    [
        Number(
            title="Dead letters waiting",
            says="Messages that nobody could handle. `make dlq` lists them with their reasons; see the runbook.",
            queries=[Query(f"sum({same_everywhere('p3d_dead_letters_waiting', by='queue')})")],
            steps={1: Colour.RED},
            width=4,
        ),
        Number(
            title="Messages waiting",
            says="In all of our queues together, without dead letters.",
            queries=[Query(f"sum({same_everywhere('p3d_queue_ready', by='queue')})")],
            steps={1000: Colour.YELLOW, 10000: Colour.RED},
            width=4,
        ),
        Number(
            title="Relay lag",
            says="Age of the oldest committed event that is not known to be on the bus. A second is usual.",
            queries=[Query(same_everywhere("p3d_relay_lag_seconds"))],
            unit=Unit.SECONDS,
            steps={10: Colour.YELLOW, 30: Colour.RED},
            width=4,
        ),
        Number(
            title="Projection lag",
            says="Age of the oldest event that a gateway has heard and does not show yet.",
            queries=[Query("max(p3d_gateway_projection_lag_seconds)")],
            unit=Unit.SECONDS,
            steps={10: Colour.YELLOW, 30: Colour.RED},
            width=4,
        ),
        Number(
            title="Processes without broker",
            says="Processes that answer Prometheus and are not set up on RabbitMQ. They mend themselves once it is back.",
            queries=[Query("count(p3d_bus_connected == 0) or vector(0)")],
            steps={1: Colour.RED},
            width=4,
        ),
        Number(
            title="Broker resets",
            says="How often in the time shown the broker was found to have lost all it held. Events are told again by "
            "themselves.",
            queries=[Query("round(sum(increase(p3d_broker_resets_total[$__range])))", at_once=True)],
            steps={1: Colour.RED},
            width=4,
        ),
    ],
)

_QUEUES = Row(
    "Queues",
    [
        Graph(
            title="Messages waiting, by queue",
            says="One that only grows has no consumer, or one that is too slow: see the table beside.",
            queries=[Query(same_everywhere("p3d_queue_ready", by="queue"), "{{queue}}")],
        ),
        Table(
            title="Consumers",
            says="Every queue needs at least one, those of models (gpu-worker.tasks.…) as soon as a worker serves the model.",
            queries=[Query(same_everywhere("p3d_queue_consumers", by="queue"), at_once=True)],
            columns={"queue": "queue"},
            value="consumers",
        ),
        Graph(
            title="Dead letters, by queue and reason",
            says="unknown_version: a consumer is older than the sender; handler_crashed: a bug; invalid_payload, unknown_type, "
            "wrong_…: a sender that is broken, or not ours; delivery_limit: given back more than 50 times.",
            queries=[Query(per_minute("p3d_dead_letters_total", by="queue, reason"), "{{queue}} {{reason}}")],
            unit=Unit.PER_MINUTE,
            bars=True,
        ),
        Graph(
            title="Deliveries that were not handled",
            says="rejected: put aside, see the dead letters; returned: the consumer could not handle it now and gave it back.",
            queries=[
                Query(
                    per_second("p3d_bus_deliveries_total", by="queue, outcome", where='outcome!="handled"'),
                    "{{queue}} {{outcome}}",
                )
            ],
            unit=Unit.PER_SECOND,
        ),
        Graph(
            title="Deliveries handled",
            says="By queue. A delivery may carry a whole batch of events.",
            queries=[
                Query(per_second("p3d_bus_deliveries_total", by="queue", where='outcome="handled"'), "{{queue}}"),
            ],
            unit=Unit.PER_SECOND,
        ),
        Graph(
            title="Oldest delivery under way",
            says="For how long a consumer has been trying the same delivery. It grows while the database or the store is away; "
            "after 900 s it is given back.",
            queries=[Query("max by (queue) (p3d_bus_oldest_delivery_seconds)", "{{queue}}")],
            unit=Unit.SECONDS,
        ),
    ],
)

_EVENTS = Row(
    "From a commit to a reader",
    [
        Graph(
            title="Time of a commit",
            says="Of the orchestrator's batches, from asking for a connection on. Above 0.5 s: the database is slow or its "
            "pool is "
            "used up.",
            queries=quantiles("p3d_commit_seconds", (0.5, 0.95)),
            unit=Unit.SECONDS,
            steps={0.5: Colour.RED},
        ),
        Graph(
            title="Size of the batches",
            says="Mean number of messages per commit (orchestrator), per message (gateway), of events per transaction "
            "(projection). They "
            "grow with the load by themselves; 500 is the orchestrator's limit.",
            queries=[
                Query(mean("p3d_commit_batch_size"), "commit"),
                Query(mean("p3d_gateway_publish_batch_size"), "publish"),
                Query(mean("p3d_gateway_projection_batch_size"), "projection"),
            ],
            unit=Unit.NONE,
        ),
        Graph(
            title="From an event to its being shown",
            says="What a front end that asks again and again waits for, at least. Of each batch the oldest event.",
            queries=quantiles("p3d_gateway_projection_delay_seconds", (0.5, 0.95)),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Lags",
            says="Relay: committed and not known to be on the bus. Projection: heard and not shown.",
            queries=[
                Query(same_everywhere("p3d_relay_lag_seconds"), "relay"),
                Query("max(p3d_gateway_projection_lag_seconds)", "projection"),
            ],
            unit=Unit.SECONDS,
            steps={30: Colour.RED},
        ),
        Graph(
            title="Said again",
            says="What may not have been heard. Some after a restart or a reset; steadily: somebody does not listen, or loses "
            "what "
            "it was given.",
            queries=[
                Query(per_minute("p3d_gateway_jobs_republished_total"), "requests"),
                Query(per_minute("p3d_gateway_cancels_republished_total"), "cancellations"),
                Query(per_minute("p3d_attempts_said_again_total"), "tasks"),
                Query(per_minute("p3d_worker_repeated_outcomes_total"), "outcomes"),
                Query(per_minute("p3d_relay_left_behind_total"), "events left behind"),
                Query(per_minute("p3d_events_retold_total"), "events after a reset"),
            ],
            unit=Unit.PER_MINUTE,
        ),
        Graph(
            title="What became of messages",
            says="In the orchestrator. duplicate, terminal and fenced are messages that came too late or twice and changed "
            "nothing; many after a fault, few in health.",
            queries=[Query(per_second("p3d_lifecycle_verdicts_total", by="verdict"), "{{verdict}}")],
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
    ],
)

_BROKER = Row(
    "Publishing",
    [
        Graph(
            title="Time to the broker's confirm",
            says="By service, 95 of 100 less. Grows when the broker's disk is slow, a queue is full, or it is short of memory.",
            queries=quantiles("p3d_bus_publish_seconds", (0.95,), by="job", legend="{{job}}"),
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Messages published",
            says="By type; a message may carry a whole batch of events.",
            queries=[
                Query(per_second("p3d_bus_published_total", by="type", where='outcome!="failed"'), "{{type}}"),
            ],
            unit=Unit.PER_SECOND,
        ),
        Graph(
            title="Publishing that failed",
            says="Whoever failed to say something says it again, or answers 503 (gateway). Steadily: the broker refuses; see "
            "its log.",
            queries=[
                Query(
                    per_second("p3d_bus_published_total", by="job, type", where='outcome="failed"'), "{{job}} {{type}}"
                )
            ],
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
    ],
)

_UPKEEP = Row(
    "Databases and upkeep",
    [
        Graph(
            title="Connections in use",
            says="Share of the pool, the fullest process of each service. At 100 % statements wait for a connection.",
            queries=[
                Query(
                    'max by (job) (p3d_database_pool_connections{state="busy"}'
                    " / on (job, instance) p3d_database_pool_connections_max)",
                    "{{job}}",
                )
            ],
            unit=Unit.RATIO,
            highest=1,
        ),
        Table(
            title="Loops, by the time since they last succeeded",
            says="Background loops: what notices lost leases, relays what was left behind, sweeps, refreshes. Minutes for "
            "one that should run every second: search the log for loop.step.failed with its name.",
            queries=[
                Query("max by (job, loop) (time() - p3d_loop_last_success_timestamp_seconds)", at_once=True),
            ],
            columns={"job": "service", "loop": "loop"},
            value="seconds ago",
            unit=Unit.SECONDS,
        ),
        Graph(
            title="Loops that fail",
            says="A step that failed is tried again, at most 5 s later or at its interval.",
            queries=[Query(per_minute("p3d_loop_failures_total", by="job, loop"), "{{job}} {{loop}}")],
            unit=Unit.PER_MINUTE,
        ),
        Graph(
            title="Removed by retention",
            says="Rows and objects of jobs that have been over for long enough.",
            queries=[
                Query(per_minute("p3d_retention_removed_total", by="what"), "{{what}}"),
                Query(per_minute("p3d_swept_objects_total", by="sweep"), "objects: {{sweep}}"),
            ],
            unit=Unit.PER_MINUTE,
        ),
        Graph(
            title="Due to be removed",
            says="When each sweep of the store last began; at most 10,000 are counted. Never back at zero: retention does not "
            "keep up.",
            queries=[Query("max by (sweep) (p3d_sweep_backlog)", "{{sweep}}")],
        ),
        Graph(
            title="Age of the census",
            says="How old the numbers of jobs and queues on these pages are. Past a few seconds the database or the broker "
            "did not "
            "answer; soon after, the lines end.",
            queries=[Query("min by (of) (p3d_census_age_seconds)", "{{of}}")],
            unit=Unit.SECONDS,
        ),
    ],
)

DASHBOARD = Dashboard(
    uid="p3d-messaging",
    title="Messaging",
    says="Whether what is said is heard: queues, lags, dead letters, the broker, the databases, the background loops.",
    rows=[_NOW, _QUEUES, _EVENTS, _BROKER, _UPKEEP],
)
