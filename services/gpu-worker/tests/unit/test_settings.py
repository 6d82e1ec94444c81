import pytest
from pydantic import ValidationError

from gpu_worker.failures import storable
from gpu_worker.settings import GpuWorkerSettings
from gpu_worker.worker_name import as_routing_key_word, new_worker_id


def settings(**changes):
    values = {
        "rabbitmq_url": "amqp://127.0.0.1/",
        "artifacts_url": "http://127.0.0.1:8002",
        "artifacts_token": "worker-token-of-the-tests",
        "worker_models": "simulated-v1",
    }
    return GpuWorkerSettings(**(values | changes))


def served(text):
    return [(model.model_id, model.slots) for model in settings(worker_models=text).worker_models]


def test_models_are_named_with_their_slots():
    assert served("silhouette-v1:1, simulated-v1:4") == [("silhouette-v1", 1), ("simulated-v1", 4)]


def test_a_model_without_a_number_has_one_slot():
    assert served("simulated-v1") == [("simulated-v1", 1)]


def test_models_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WORKER_MODELS", "simulated-v1:16")
    values = settings().model_dump(exclude={"worker_models"})
    assert GpuWorkerSettings(**values).worker_models[0].slots == 16


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sf3d-v9:1", "there is no engine 'sf3d-v9'; known engines are silhouette-v1, simulated-v1"),
        ("simulated-v1:0", "the number of slots, 1 to 256"),
        ("simulated-v1:many", "the number of slots, 1 to 256"),
        ("simulated-v1:1,simulated-v1:2", "simulated-v1 is named more than once"),
        (" , ", "name at least one model"),
    ],
)
def test_an_entry_that_is_wrong_is_named_in_a_sentence(text, sentence):
    with pytest.raises(ValidationError, match=sentence):
        settings(worker_models=text)


def test_a_lease_must_outlive_a_lost_heartbeat():
    with pytest.raises(ValidationError, match="LEASE_TTL_SECONDS"):
        settings(heartbeat_interval_seconds=10, lease_ttl_seconds=15)


def test_secrets_are_not_in_what_settings_print():
    assert "worker-token-of-the-tests" not in repr(settings())


@pytest.mark.parametrize(
    ("host", "word"),
    [("gpu-1.example.org", "gpu-1-example-org"), ("a#*b", "a-b"), ("...", "host"), ("x" * 99, "x" * 60)],
)
def test_a_host_name_becomes_one_word_of_a_routing_key(host, word):
    assert as_routing_key_word(host) == word


def test_every_process_has_a_name_of_its_own():
    assert new_worker_id() != new_worker_id()


def test_a_failure_message_holds_nothing_a_database_refuses():
    assert storable("NUL \x00, lone \ud800, line\nbreak") == "NUL �, lone �, line\nbreak"
    assert len(storable("x" * 5000)) == 1000
