"""A plan of faults is the seed's alone, and tells what it did."""

from collections import Counter

from devstack.faults.plan import Fault, FaultPlan

BOTH = (Fault.BEFORE, Fault.AFTER)


def begun(seed: int, rate: float = 0.5) -> FaultPlan:
    plan = FaultPlan(seed, rate=rate)
    plan.begin()
    return plan


def fates(plan: FaultPlan, site: str, calls: int = 50) -> list[Fault | None]:
    return [plan.decide(site, *BOTH).fault for _ in range(calls)]


def an_active_site(seed: int) -> str:
    return next(site for site in map(str, range(100)) if any(fates(begun(seed), site)))


def test_the_same_seed_decides_the_same_whatever_happens_elsewhere() -> None:
    site = an_active_site(7)
    alone, among_others = begun(7), begun(7)
    expected = fates(alone, site)
    found = []
    for call in range(50):
        among_others.decide(f"another site {call % 3}", *BOTH)
        found += fates(among_others, site, calls=1)
    assert found == expected
    assert set(expected) == {None, *BOTH}


def test_seeds_differ_in_which_sites_they_hit() -> None:
    hit = Counter(any(fates(begun(seed), "COMMIT")) for seed in range(100))
    assert 60 < hit[True] < 90


def test_the_rate_is_the_share_of_calls_that_meet_a_fault_where_any_do() -> None:
    met = sum(fault is not None for fault in fates(begun(7, rate=0.2), an_active_site(7), calls=2000))
    assert 300 < met < 500


def test_only_possible_faults_are_chosen() -> None:
    plan, site = begun(7), an_active_site(7)
    assert {plan.decide(site, Fault.DELAY).fault for _ in range(50)} == {None, Fault.DELAY}


def test_nothing_fails_before_the_plan_begins_and_after_it_has_ended() -> None:
    plan, site = FaultPlan(7, rate=1.0), an_active_site(7)
    assert set(fates(plan, site)) == {None}
    plan.begin()
    assert None not in fates(plan, site)
    plan.end()
    assert set(fates(plan, site)) == {None}


def test_a_failure_can_be_told_from_the_plan() -> None:
    plan, site = begun(7, rate=1.0), an_active_site(7)
    decision = plan.decide(site, Fault.AFTER)
    assert plan.injected == (decision,)
    assert str(plan) == f"seed 7:\n  {site}: call 1 failed after its effect"
