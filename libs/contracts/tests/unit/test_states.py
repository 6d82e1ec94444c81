from contracts.states import AttemptStatus, JobStatus, Stage


def test_the_names_that_callers_and_rows_hold_stay() -> None:
    assert [status.value for status in JobStatus] == ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
    assert {status.value for status in AttemptStatus} == {
        "DISPATCHED",
        "STARTED",
        "SUCCEEDED",
        "FAILED",
        "LOST",
        "ABORTED",
    }
    assert {"download", "load", "segment", "inflate", "generate", "texture", "export", "upload"} <= set(Stage)


def test_a_job_is_over_in_three_states() -> None:
    assert {status for status in JobStatus if status.is_terminal} == {
        JobStatus.SUCCEEDED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    }


def test_an_attempt_can_change_something_in_two_states() -> None:
    assert {status for status in AttemptStatus if not status.is_over} == {
        AttemptStatus.DISPATCHED,
        AttemptStatus.STARTED,
    }
