import pytest

from devstack.addresses import S3Address, ServerKind
from devstack.named import named_server

KEYS = {"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "s"}


def test_nothing_is_named_by_an_empty_environment() -> None:
    assert [named_server(kind, {}) for kind in ServerKind] == [None, None, None]


def test_a_store_without_its_keys_is_not_named() -> None:
    assert named_server(ServerKind.S3, {"MINIO_ENDPOINT": "localhost:9000"}) is None


@pytest.mark.parametrize(
    ("endpoint", "secure", "expected"),
    [
        ("store:9000", "", "http://store:9000"),
        ("store:9000", "true", "https://store:9000"),
        ("http://store:9000", "true", "http://store:9000"),
    ],
)
def test_an_endpoint_may_come_with_or_without_a_scheme(endpoint: str, secure: str, expected: str) -> None:
    named = named_server(ServerKind.S3, KEYS | {"MINIO_ENDPOINT": endpoint, "MINIO_SECURE": secure})
    assert isinstance(named, S3Address)
    assert named.endpoint == expected
