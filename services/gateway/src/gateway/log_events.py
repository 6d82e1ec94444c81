"""What the gateway's lines mean. `specs/log-events.md` is made of it; `make check` finds what is missing."""

MEANINGS = {
    "gateway.artifacts.not_reached": "The artifacts service does not answer: the client got 503.",
    "gateway.artifacts.refused": "The artifacts service refuses the gateway itself: look at ARTIFACTS_TOKEN, and at its log.",
    "gateway.catalogue.loaded": "The catalogue was read for the first time, or has changed. `models` are on offer.",
    "gateway.initial_data.written": "The superuser and the models are in the database.",
    "gateway.job.never_shown": "The service stops with jobs whose views it could not write. Their job.queued events write them.",
    "gateway.job.not_shown": "A job was accepted, but its view could not be written. It is kept in memory and tried again.",
    "gateway.job.refused": "The broker did not confirm a job: the client got 503.",
    "gateway.job.republished": "Jobs or cancellations that the orchestrator did not acknowledge were said again.",
    "gateway.job.shown_late": "Views that could not be written before are written now.",
    "gateway.model.left_out": "A model's schema cannot be compiled. It is not on offer; mend its entry in the catalogue.",
}
