-- Whether anything is missing: jobs with a hole in their log.
-- `seq` is gapless per job, so a job with fewer events than its highest `seq` lacks some, as after a gap that retention cut into
-- the stream. No rows: of every job that is here, everything is here up to its last event.
SELECT job_id, model_id, queued_at, last_seq, events, last_seq - events AS missing
FROM jobs
WHERE events < last_seq
ORDER BY queued_at, job_id;
