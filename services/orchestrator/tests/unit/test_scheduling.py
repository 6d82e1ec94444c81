from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.orchestrator.tests.builders import T0

from contracts.ids import JobId, UserId
from orchestrator.scheduling import Candidate, choose, window_room

ANNA, BEN, CLEO = (UserId(UUID(int=number)) for number in (1, 2, 3))


def waiting(user: UserId, *, age_seconds: float = 0, priority: int = 0) -> Candidate:
    return Candidate(JobId(uuid4()), user, priority, T0 - timedelta(seconds=age_seconds))


candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(JobId),
        st.sampled_from([ANNA, BEN, CLEO]),
        st.integers(-1, 1),
        st.integers(0, 20).map(lambda seconds: T0 + timedelta(seconds=seconds)),
    ),
    max_size=15,
    unique_by=lambda candidate: candidate.job_id,
)
quick = settings(max_examples=50, deadline=None)
active = st.dictionaries(st.sampled_from([ANNA, BEN, CLEO]), st.integers(0, 4))


def test_a_higher_priority_comes_first_however_young_and_whoever_asks() -> None:
    old, urgent = waiting(ANNA, age_seconds=3600), waiting(BEN, priority=1)
    assert choose([old, urgent], {BEN: 50}, 2) == [urgent, old]


def test_a_thousand_jobs_of_one_user_do_not_starve_the_one_of_another() -> None:
    flood = [waiting(ANNA, age_seconds=10_000 - number) for number in range(1000)]
    lone = waiting(BEN)
    assert lone in choose([*flood, lone], {}, 2)


def test_who_already_runs_much_waits_for_who_runs_less() -> None:
    busy, idle = waiting(ANNA, age_seconds=100), waiting(BEN)
    assert choose([busy, idle], {ANNA: 3, BEN: 2}, 1) == [idle]


def test_equals_go_by_age() -> None:
    younger, older = waiting(ANNA, age_seconds=1), waiting(BEN, age_seconds=2)
    assert choose([younger, older], {}, 2) == [older, younger]


@quick
@given(candidates, active, st.integers(0, 20))
def test_as_many_are_chosen_as_there_is_room_for_and_each_once(
    jobs: list[Candidate], held: dict[UserId, int], room: int
) -> None:
    chosen = choose(jobs, held, room)
    assert len(chosen) == len(set(chosen)) == min(room, len(jobs))


@quick
@given(candidates, active, st.integers(0, 15))
def test_choosing_some_and_then_the_rest_is_choosing_all(
    jobs: list[Candidate], held: dict[UserId, int], room: int
) -> None:
    first = choose(jobs, held, room)
    rest = [job for job in jobs if job not in first]
    held_after = Counter(held) + Counter(job.user_id for job in first)
    assert first + choose(rest, held_after, len(rest)) == choose(jobs, held, len(jobs))


@quick
@given(candidates, active, st.integers(1, 6))
def test_the_first_jobs_of_each_user_are_enough_to_choose_from(
    jobs: list[Candidate], held: dict[UserId, int], room: int
) -> None:
    """What `store.waiting` relies on: it reads no more than `room` jobs of a user."""
    in_order = sorted(jobs, key=lambda job: (-job.priority, job.accepted_at, job.job_id))
    heads = [job for user in (ANNA, BEN, CLEO) for job in [mine for mine in in_order if mine.user_id == user][:room]]
    assert choose(heads, held, room) == choose(jobs, held, room)


@quick
@given(st.permutations([waiting(user, age_seconds=age) for age, user in enumerate([ANNA, ANNA, BEN, CLEO, CLEO])]))
def test_the_order_in_which_jobs_are_offered_does_not_matter(jobs: list[Candidate]) -> None:
    assert choose(jobs, {}, 5) == choose(sorted(jobs, key=lambda job: job.job_id), {}, 5)


@pytest.mark.parametrize(
    ("slots", "window_per_slot", "dispatched", "room"),
    [
        (0, 1.0, 0, 0),  # nobody serves the model: its jobs wait in the database
        (4, 1.0, 0, 4),
        (4, 1.0, 3, 1),
        (4, 1.0, 9, 0),  # workers left: what is on the bus stays there
        (4, 0.5, 0, 2),
        (3, 0.5, 0, 2),
        (1, 0.1, 0, 1),  # a single slot is never idle
        (1, 2.0, 0, 2),
    ],
)
def test_the_window_follows_the_slots_of_live_workers(
    slots: int, window_per_slot: float, dispatched: int, room: int
) -> None:
    assert window_room(slots, window_per_slot, dispatched) == room
