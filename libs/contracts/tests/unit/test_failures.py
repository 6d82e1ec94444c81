from contracts.failures import FailureCode

# Append only: callers switch on these, and old rows and messages hold them.
CODES = {
    "invalid_image": False,
    "image_too_large": False,
    "unsupported_image": False,
    "no_foreground": False,
    "invalid_parameter": False,
    "input_not_found": False,
    "engine_failed": False,
    "out_of_memory": True,
    "engine_crashed": True,
    "engine_unavailable": True,
    "execution_timeout": True,
    "worker_lost": True,
    "worker_shutdown": True,
    "storage_unavailable": True,
    "queue_timeout": False,
    "cancelled": False,
}


def test_no_failure_code_is_ever_renamed_or_removed() -> None:
    assert CODES.keys() <= {code.value for code in FailureCode}


def test_a_new_failure_code_is_written_down_here() -> None:
    assert {code.value: code.is_retryable for code in FailureCode} == CODES
