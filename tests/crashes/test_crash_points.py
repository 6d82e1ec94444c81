"""Every crash point of the code, killed there with SIGKILL on the real stack: no job is lost, no result counts twice.

After each scenario the ledger, by which the chaos runs are judged too, is drawn up over everything the stack has done so far.
"""

import re
from pathlib import Path

import pytest
from tests.crashes.scenarios import ELSEWHERE, LOSING_ATTEMPTS, SCENARIOS
from tests.crashes.system import System

pytestmark = pytest.mark.xdist_group("crashes")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("point", SCENARIOS)
async def test_a_process_killed_there_loses_no_job_and_makes_none_count_twice(system: System, point: str) -> None:
    await SCENARIOS[point](system, point)
    ledger = await system.ledger()
    assert ledger.is_clean, "\n".join(f"{found.job_id} {found.sentence}" for found in ledger.findings)


@pytest.mark.parametrize("point", LOSING_ATTEMPTS)
async def test_a_killed_workers_job_runs_again_on_another_worker_within_the_lease_and_two_seconds(
    system: System, point: str
) -> None:
    lost = system.in_dead_hands[point]
    _, found = await system.attempts(str(lost["job_id"]))
    assert found["worker_id"] != lost["worker_id"]
    # A lease is counted from the last sign of life that was heard.
    assert (found["started_at"] - lost["lease_expires_at"]).total_seconds() < 2


@pytest.mark.parametrize("point", LOSING_ATTEMPTS)
async def test_the_log_of_a_killed_workers_job_says_which_attempt_was_lost_where_and_why(
    system: System, point: str
) -> None:
    lost = system.in_dead_hands[point]
    _, body = await system.clients.get(f"/jobs/{lost['job_id']}/events")
    assert body is not None
    (event,) = [event for event in body["events"] if event["type"] == "job.retry_scheduled"]
    said = event["payload"]
    assert (said["attempt_id"], said["worker_id"]) == (str(lost["attempt_id"]), lost["worker_id"])
    assert said["failure"]["code"] == "worker_lost"
    assert lost["worker_id"] in said["failure"]["message"]


def test_every_crash_point_of_the_code_has_a_test_that_kills_there() -> None:
    literal, called = set(), 0
    for file in (*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/*/src/**/*.py")):
        source = file.read_text()
        literal |= set(re.findall(r'crash_point\(f?"([^"]+)"\)', source))
        called += len(re.findall(r"(?<!def )\bcrash_point\(", source))
    assert called == len(literal), "each point has one place, and a name that can be read there"
    killed = set(SCENARIOS) | set(ELSEWHERE)
    for name in literal:
        names = re.compile(re.sub(r"\\{.*?\\}", r"\\w+", re.escape(name)))
        tested = {point for point in killed if names.fullmatch(point)}
        assert tested, f"nothing is killed at {name}: add a scenario"
        killed -= tested
    assert not killed, "these points are gone from the code"
    for point, other in ELSEWHERE.items():
        assert point in (ROOT / other).read_text()
