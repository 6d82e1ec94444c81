from typing import Any

import pytest
from pydantic import ValidationError

from artifacts.endpoint import parse_endpoint
from artifacts.settings import ArtifactsSettings

REQUIRED = {
    "rabbitmq_url": "amqp://localhost",
    "database_url": "postgresql+asyncpg://localhost/p3d",
    "gateway_token": "g" * 16,
    "worker_token": "w" * 16,
    "minio_endpoint": "minio:9000",
    "minio_access_key": "access-key-of-the-store",
    "minio_secret_key": "secret-key-of-the-store",
    "minio_bucket": "pipeline3d",
}


def settings(**changes: Any) -> ArtifactsSettings:
    return ArtifactsSettings(**{**REQUIRED, **changes})


@pytest.mark.parametrize(
    ("address", "secure", "url"),
    [
        ("minio:9000", False, "http://minio:9000"),
        ("minio:9000", True, "https://minio:9000"),
        ("https://s3.example.com/", False, "https://s3.example.com"),
        ("http://127.0.0.1:80", True, "http://127.0.0.1"),
        ("s3.example.com:443", True, "https://s3.example.com"),
        ("http://[::1]:9000", False, "http://[::1]:9000"),
    ],
)
def test_an_endpoint_is_understood_with_and_without_a_scheme(address: str, secure: bool, url: str) -> None:
    assert parse_endpoint(address, secure=secure).url == url


@pytest.mark.parametrize("address", ["ftp://minio", "http://", "https://host/folder", "http://a:b@host", "host:port"])
@pytest.mark.parametrize("name", ["minio_endpoint", "minio_public_endpoint", "minio_worker_endpoint"])
def test_an_unusable_endpoint_is_refused_at_start(name: str, address: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{name: address})


@pytest.mark.parametrize("text", ["http://a.test, http://b.test", '["http://a.test", "http://b.test"]'])
def test_origins_are_read_from_commas_and_from_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_CORS_ORIGINS", text)
    assert settings().backend_cors_origins == ("http://a.test", "http://b.test")


@pytest.mark.parametrize(
    "changes",
    [
        {"worker_token": "g" * 16},
        {"gateway_token": "short"},
        {"gateway_token": ""},
        {"gateway_token": "n" * 16 + ",short"},
        {"gateway_token": "1" * 16 + "," + "2" * 16 + "," + "3" * 16},
        {"gateway_token": "n" * 16 + "," + "w" * 16},  # the workers' own
        {"minio_bucket": "Bad_Bucket"},
        {"upload_retention_hours": 0},
        {"job_retention_days": -1},
        # A fenced worker's grant would outlive the sweep of its folder.
        {"loser_retention_hours": 1},
        {"worker_grant_ttl_seconds": 24 * 3600},
        {"job_retention_days": 0.01},
    ],
)
def test_unsafe_values_are_refused_at_start(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_no_secret_shows_in_the_settings() -> None:
    shown = repr(settings())
    secrets = ("gateway_token", "worker_token", "minio_access_key", "minio_secret_key")
    assert not [name for name in secrets if REQUIRED[name] in shown]


def test_a_token_that_is_being_changed_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = "n" * 16, "o" * 16
    tokens = settings(gateway_token=f"{new}, {old}").gateway_token
    assert [token.get_secret_value() for token in tokens] == [new, old]


def test_jobs_may_be_kept_for_ever() -> None:
    assert settings(job_retention_days=0).job_retention_days == 0
