"""The whole real system, two minutes, one seed: nothing may be lost, duplicated or contradicted."""

import logging
from pathlib import Path

import pytest
from chaos import run
from clock_skew import can_skew
from fault_schedule import FaultKind
from report import show

SEED = 1


@pytest.mark.xdist_group("chaos")
async def test_two_minutes_of_faults_lose_duplicate_and_contradict_nothing(tmp_path: Path) -> None:
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # the witness loses its connection by intent
    outcome = await run(SEED, 2.0, tmp_path)
    report = f"{show(outcome)}\nlogs and data: {tmp_path}"
    assert outcome.ledger.is_clean, report
    assert not outcome.left_under_way, report
    assert not outcome.never_ready, report
    assert outcome.clocks_skewed == can_skew()
    # A run in which nothing happened would prove nothing.
    assert {recovery.fault.kind for recovery in outcome.recoveries} == set(FaultKind), report
    assert outcome.ledger.accepted > 300, report
    assert outcome.ledger.ended["SUCCEEDED"] > outcome.ledger.accepted / 2, report
    assert outcome.repeated_messages > 10, report
