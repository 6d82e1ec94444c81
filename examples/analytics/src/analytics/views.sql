-- What the questions are asked of. `deliveries` must be there: see deliveries.sql.

-- Every event once. The bus says an event again when it does not know whether it was heard, and a stream may be read again:
-- (job_id, seq) names the event, and whatever has the same name says the same.
CREATE OR REPLACE VIEW events AS
SELECT DISTINCT ON (job_id, seq)
    event_id, type, version, traceparent, job_id, seq, user_id, model_id, occurred_at, status, stage, attempt, cancel_requested,
    requested_at, priority, attempt_id, worker_id, retry_at, code, retryable, stage_durations_ms, output_bytes, payload, day
FROM deliveries
WHERE problem IS NULL;

-- One row per attempt that a worker took. It ends with whatever the job is told of next but stages and cancelling.
CREATE OR REPLACE VIEW attempts AS
SELECT
    job_id, attempt_id, attempt, worker_id, model_id, user_id,
    occurred_at AS started_at,
    lead(occurred_at) OVER life AS ended_at,
    epoch_us(ended_at - started_at) / 1e6 AS seconds,
    CASE lead(type) OVER life
        WHEN 'job.succeeded' THEN 'SUCCEEDED'
        WHEN 'job.failed' THEN 'FAILED'
        WHEN 'job.retry_scheduled' THEN 'FAILED'
        WHEN 'job.cancelled' THEN 'CANCELLED'
        ELSE 'RUNNING'
    END AS outcome,
    lead(code) OVER life AS code
FROM events
WHERE type IN ('job.started', 'job.retry_scheduled', 'job.succeeded', 'job.failed', 'job.cancelled')
WINDOW life AS (PARTITION BY job_id ORDER BY seq)
QUALIFY type = 'job.started';

-- One row per job, as its last event left it.
CREATE OR REPLACE VIEW jobs AS
SELECT
    job_id,
    any_value(user_id) AS user_id,
    any_value(model_id) AS model_id,
    arg_max(status, seq) AS status,
    min(occurred_at) FILTER (type = 'job.queued') AS queued_at,
    min(occurred_at) FILTER (type = 'job.started') AS started_at,
    max(occurred_at) FILTER (status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) AS ended_at,
    count(*) FILTER (type = 'job.retry_scheduled') AS retries,
    any_value(code) FILTER (type = 'job.failed') AS code,
    max(seq) AS last_seq,
    count(*) AS events
FROM events
GROUP BY job_id;
