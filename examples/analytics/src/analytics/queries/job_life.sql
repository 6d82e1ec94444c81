-- The life of one job: query job_life job_id=…
-- Event by event, with the seconds since the one before.
SELECT
    seq,
    type,
    occurred_at,
    round(epoch_us(occurred_at - lag(occurred_at) OVER (ORDER BY seq)) / 1e6, 3) AS after_seconds,
    status,
    stage,
    attempt,
    worker_id,
    code
FROM events
WHERE job_id = $job_id
ORDER BY seq;
