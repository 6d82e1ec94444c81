-- What failed, where, and what it cost.
-- Attempts that brought no result, and the seconds their worker spent on them, by failure code and worker, the most expensive
-- first. A cancelled attempt has no failure code; it is counted as 'cancelled'. One that still runs is not lost.
SELECT
    coalesce(code, lower(outcome)) AS code,
    worker_id AS worker,
    count(*) AS attempts,
    count(DISTINCT job_id) AS jobs,
    round(sum(seconds), 3) AS lost_seconds
FROM attempts
WHERE outcome IN ('FAILED', 'CANCELLED')
GROUP BY ALL
ORDER BY lost_seconds DESC, code, worker;
