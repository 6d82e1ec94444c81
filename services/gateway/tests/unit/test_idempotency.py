from uuid import UUID

import pytest

from contracts.ids import UserId
from gateway.idempotency import check_key, fingerprint_of, job_id_of
from gateway.request_body import JobBody
from service_kit.problems import Problem

ALICE, BOB = UserId(UUID(int=1)), UserId(UUID(int=2))


def test_job_id_is_the_same_for_the_same_user_and_key_only() -> None:
    assert job_id_of(ALICE, "k") == job_id_of(ALICE, "k")
    assert len({job_id_of(user, key) for user in (ALICE, BOB) for key in ("k", "K", "k2")}) == 6
    assert job_id_of(ALICE, "k").version == 5


def test_fingerprint_ignores_how_a_request_is_written_and_nothing_else() -> None:
    def fingerprint(**changes: object) -> bytes:
        fields = {"model_id": "m", "input_params": {"a": 1, "b": [2.5, {"c": True}]}, "prompt": None}
        return fingerprint_of(JobBody.model_validate(fields | changes))

    assert fingerprint() == fingerprint(input_params={"b": [2.5, {"c": True}], "a": 1.0})
    others = [{"prompt": "x"}, {"model_id": "n"}, {"input_params": {"a": 1}}, {"queue_timeout_seconds": 1.0}]
    assert len({fingerprint(), *(fingerprint(**other) for other in others)}) == 5


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "ä", "\x7f", "x" * 256])
def test_unusable_keys_are_refused(key: str) -> None:
    with pytest.raises(Problem):
        check_key(key)


@pytest.mark.parametrize("key", ["!", "~", "x" * 255, "8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_visible_ascii_is_a_key(key: str) -> None:
    assert check_key(key) == key
