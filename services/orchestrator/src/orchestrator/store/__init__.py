"""Every statement on the orchestrator's tables. Set-based: a batch costs the same few round trips however large it is.

Rows travel as JSON arrays and are typed by the tables themselves (`jsonb_populate_recordset`), so a column is named where it is
defined and where it is set, and nowhere in between.
"""

from orchestrator.store.backlog import Usage, long_dispatched, usage, waiting
from orchestrator.store.batches import load_batch, load_jobs, write
from orchestrator.store.broker_memory import begin_generation, generation, note_all_heard, take_span_to_retell
from orchestrator.store.census import ModelCensus, census
from orchestrator.store.outbox import Confirmed, log_of, mark_published, take_turn_as_sweeper, unpublished
from orchestrator.store.retention import remove_jobs, remove_logs
from orchestrator.store.timers import due_timers
from orchestrator.store.transactions import commit_turn
from orchestrator.store.workers import NamedAttempt, forget_workers, live_slots, renew_leases, see_workers

__all__ = [
    "Confirmed",
    "ModelCensus",
    "NamedAttempt",
    "Usage",
    "begin_generation",
    "census",
    "commit_turn",
    "due_timers",
    "forget_workers",
    "generation",
    "live_slots",
    "load_batch",
    "load_jobs",
    "log_of",
    "long_dispatched",
    "mark_published",
    "note_all_heard",
    "remove_jobs",
    "remove_logs",
    "renew_leases",
    "see_workers",
    "take_span_to_retell",
    "take_turn_as_sweeper",
    "unpublished",
    "usage",
    "waiting",
    "write",
]
