"""The stories that may happen to jobs, and the promises that hold after each step of each of them.

The method is property-based testing of a state machine: random sequences of commands, checked against a model, and shrunk to the
shortest story that breaks a promise. See K. Claessen and J. Hughes, *QuickCheck: a lightweight tool for random testing of Haskell
programs* (ICFP 2000); T. Arts, J. Hughes, J. Johansson and U. Wiger, *Testing telecoms software with Quviq QuickCheck* (Erlang
Workshop 2006); and "Stateful tests" in the documentation of Hypothesis. The faults are those that Jepsen (https://jepsen.io)
brings upon queues that deliver at least once: crashes on either side of a commit, lost acknowledgements, redelivery in any order,
clocks that jump and disagree, and a broker that forgets.
"""

import sys
from collections import Counter

from hypothesis.stateful import invariant
from services.orchestrator.tests.unit.lifecycle_model import promises
from services.orchestrator.tests.unit.lifecycle_model.fair_decisions import judge
from services.orchestrator.tests.unit.lifecycle_model.stories import Stories

from orchestrator.decision import Verdict

Tally = Counter[tuple[str, Verdict]]


class LifecycleMachine(Stories):
    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self._memory = promises.Memory()

    @invariant()
    def every_promise_holds(self) -> None:
        self._every_message_got_the_answer_it_deserves()
        database = self.world.database
        for job_id in database.touched & database.jobs.keys():
            job, log, attempts = database.jobs[job_id], database.log[job_id], database.attempts_of(job_id)
            self._memory.of_job(job, log)
            for attempt in attempts:
                self._memory.of_attempt(attempt)
            promises.job_is_the_one_that_was_asked_for(job, self.world.gateway.accepted[job_id])
            promises.log_is_gapless_and_ends_as_the_job_stands(job, log)
            promises.result_is_what_its_worker_said(job, attempts, self.world.said_to_have_succeeded)
            promises.at_most_one_attempt_is_alive(job, attempts)
            promises.attempts_are_counted(job, attempts)
            promises.cancelled_job_gets_no_worker(job)
        database.touched.clear()
        for job_id, view in self.world.gateway.views.items():
            promises.view_is_one_of_the_jobs_states(database.jobs[job_id], database.log[job_id], view)

    def _every_message_got_the_answer_it_deserves(self) -> None:
        for decided in self.world.orchestrator.decided:
            self._tally[type(decided.message).__name__, decided.verdict] += 1
            judge(decided)
        self.world.orchestrator.decided.clear()

    def teardown(self) -> None:
        """Once the faults end every job does, everybody knows how, and nobody works for nothing."""
        if sys.exc_info()[0] is not None:
            return  # a promise is broken already, and that is the story to tell
        self.world.settle()
        self.every_promise_holds()
        for job_id in self.world.gateway.accepted:
            job = self.world.database.jobs.get(job_id)
            assert job is not None, "an accepted job was lost"
            assert job.status in promises.OVER, f"a job never ended: it stays {job.status}"
            promises.view_is_the_job(job, self.world.gateway.views[job_id])
        assert not self.world.running, "a worker works for nothing and is not told to stop"
        assert self.world.is_settled, "they talk for ever"
