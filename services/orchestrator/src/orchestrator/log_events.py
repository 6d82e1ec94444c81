"""What the orchestrator's lines mean. `specs/log-events.md` is made of it; `make check` finds what is missing."""

MEANINGS = {
    "orchestrator.attempts.not_said_again": "A model's queue could not be asked whether it lost attempts. It is asked again.",
    "orchestrator.attempts.said_again": "Attempts that the broker had lost were put on its queue again.",
    "orchestrator.broker_reset.noticed": "The broker came back without its data. All it may have lost is told again.",
    "orchestrator.events.left_behind": "Events that a crash or an outage had left unpublished are published now.",
    "orchestrator.events.retold": "Events were published again after a broker's reset.",
    "orchestrator.heartbeats.not_recorded": "Heartbeats could not be written, the database being away. No lease lapses for it.",
    "orchestrator.message.ignored": "A message changed nothing, for the reason that `verdict` names: late, doubled, fenced.",
    "orchestrator.relay.failed": "What a commit made true was not published. It is found by the sweep and said then.",
    "orchestrator.timers.fired": "So many leases, execution times or queue deadlines have run out.",
}
