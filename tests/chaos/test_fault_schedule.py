from itertools import pairwise

from fault_schedule import FaultKind, Targets, Way, schedule

TARGETS = Targets(
    processes=["gateway-1", "gateway-2", "orchestrator-1", "gpu_worker-1"],
    ways=[
        Way("gateway-1", "rabbitmq"),
        Way("gateway", "postgres"),
        Way("gpu_worker-1", "rabbitmq"),
        Way("gpu_worker", "s3"),
    ],
)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert schedule(7, 2, TARGETS) == schedule(7, 2, TARGETS)
    assert schedule(7, 2, TARGETS) != schedule(8, 2, TARGETS)


def test_two_minutes_hold_every_kind_of_fault() -> None:
    for seed in range(50):
        missing = set(FaultKind) - {fault.kind for fault in schedule(seed, 2.0, TARGETS)}
        assert not missing, f"seed {seed}"


def test_two_minutes_strike_every_service() -> None:
    for seed in range(50):
        struck = {str(fault.target).partition("-")[0] for fault in schedule(seed, 2.0, TARGETS)}
        assert struck >= {"gateway", "orchestrator", "gpu_worker"}, f"seed {seed}"


def test_every_fault_is_over_when_the_run_is() -> None:
    for seed in range(50):
        assert all(fault.at_seconds + fault.duration_seconds <= 120 for fault in schedule(seed, 2.0, TARGETS))


def test_nothing_happens_twice_to_the_same_thing_at_once() -> None:
    for seed in range(50):
        until: dict[object, float] = {}
        for fault in schedule(seed, 20.0, TARGETS):
            assert until.get(fault.target, 0.0) <= fault.at_seconds, f"seed {seed}: {fault}"
            until[fault.target] = fault.at_seconds + fault.duration_seconds


def test_faults_of_different_things_overlap_now_and_then() -> None:
    faults = schedule(1, 20.0, TARGETS)
    overlapping = sum(
        earlier.at_seconds + earlier.duration_seconds > later.at_seconds for earlier, later in pairwise(faults)
    )
    assert overlapping > len(faults) / 10
