-- How long jobs wait and run: percentiles in seconds, per model and hour.
-- By the hour (UTC) in which a job was created. Waiting: from QUEUED to the first worker that took it; running: the attempt that
-- succeeded. Jobs that no worker has taken yet count in `jobs` only.
SELECT
    date_trunc('hour', jobs.queued_at) AS hour,
    jobs.model_id AS model,
    count(DISTINCT jobs.job_id) AS jobs,
    round(quantile_cont(epoch_us(jobs.started_at - jobs.queued_at) / 1e6, 0.50), 3) AS wait_p50,
    round(quantile_cont(epoch_us(jobs.started_at - jobs.queued_at) / 1e6, 0.95), 3) AS wait_p95,
    round(quantile_cont(epoch_us(jobs.started_at - jobs.queued_at) / 1e6, 0.99), 3) AS wait_p99,
    round(quantile_cont(won.seconds, 0.50), 3) AS run_p50,
    round(quantile_cont(won.seconds, 0.95), 3) AS run_p95,
    round(quantile_cont(won.seconds, 0.99), 3) AS run_p99
FROM jobs
LEFT JOIN attempts AS won ON won.job_id = jobs.job_id AND won.outcome = 'SUCCEEDED'
GROUP BY hour, model
ORDER BY hour, model;
