-- What each user got, per day: jobs, success rate, retries.
-- By the day (UTC) on which a job ended. The success rate is of those that were not cancelled; retries are further attempts.
SELECT
    CAST(ended_at AS DATE) AS day,
    user_id,
    count(*) AS jobs,
    count(*) FILTER (status = 'SUCCEEDED') AS succeeded,
    count(*) FILTER (status = 'FAILED') AS failed,
    count(*) FILTER (status = 'CANCELLED') AS cancelled,
    round(succeeded / nullif(succeeded + failed, 0), 4) AS success_rate,
    sum(retries)::BIGINT AS retries
FROM jobs
WHERE ended_at IS NOT NULL
GROUP BY ALL
ORDER BY day, user_id;
