"""What the lines of the artifacts service mean. `specs/log-events.md` is made of it; `make check` finds what is missing."""

MEANINGS = {
    "artifacts.bucket.not_prepared": "The bucket could not be made ready, as `error` says. It is tried again.",
    "artifacts.bucket.prepared": "The bucket is there, and open for the origins of the front ends.",
    "artifacts.bucket_cors.skipped": "The store has no CORS rules by bucket (MinIO): set its own, MINIO_API_CORS_ALLOW_ORIGIN.",
    "artifacts.input.not_found": "A job names an input that is not its user's or is gone. Its worker will find that out.",
    "artifacts.job.reopened": "A job has the id of one that is over and forgotten. What was noted of that one is removed.",
    "artifacts.storage.not_reached": "The store does not answer, or refuses.",
    "artifacts.sweep.completed": "Files that nobody needs any more were removed.",
    "artifacts.upload.deleted": "An upload was larger than it may be, and was removed.",
}
