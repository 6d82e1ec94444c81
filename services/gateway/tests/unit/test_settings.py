import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import GatewaySettings


def settings(origins: str) -> GatewaySettings:
    return GatewaySettings(
        database_url=SecretStr("x"),
        rabbitmq_url=SecretStr("x"),
        artifacts_url="x",
        artifacts_token=SecretStr("x"),
        backend_cors_origins=origins,
    )


def test_origins_are_separated_by_commas() -> None:
    assert settings(" https://a.example , http://localhost:3000/,").cors_origins == [
        "https://a.example",
        "http://localhost:3000",
    ]
    assert settings("").cors_origins == []


@pytest.mark.parametrize("origins", ["*", "a.example", "ftp://a.example", "https://a.example/path"])
def test_what_is_no_origin_is_refused_at_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="not an origin"):
        settings(origins)
