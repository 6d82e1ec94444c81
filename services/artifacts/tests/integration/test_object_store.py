"""Conformance: what this service relies on, tried on whichever store is configured."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import aiohttp
import pytest
from artifacts_harness import ORIGIN
from yarl import URL

from artifacts import object_listing
from artifacts.endpoint import parse_endpoint
from artifacts.errors import StorageUnavailableError
from artifacts.object_store import ObjectStore, StoredObject, open_session
from artifacts.presigner import Presigner
from artifacts.settings import ArtifactsSettings

TEXT, BODY = "text/plain", b"some bytes"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
def name() -> str:
    return f"conformance/{uuid4()} ü+&=%/file.txt"


def sign(presigner: Presigner, method: str, name: str, *, age_seconds: int = 0, **options: dict[str, str]) -> URL:
    signed_at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return URL(presigner.presign(method, name, now=signed_at, expires_in_seconds=60, **options), encoded=True)


async def put(http: aiohttp.ClientSession, presigner: Presigner, name: str, body: bytes = BODY) -> None:
    headers = {"Content-Type": TEXT}
    async with http.put(sign(presigner, "PUT", name, headers=headers), data=body, headers=headers) as response:
        assert response.status == 200


async def test_an_object_comes_back_as_it_was_put(http: aiohttp.ClientSession, presigner: Presigner, name: str) -> None:
    await put(http, presigner, name)
    query = {"response-content-disposition": 'attachment; filename="a b.txt"'}
    async with http.get(sign(presigner, "GET", name, query=query)) as response:
        assert (response.status, await response.read()) == (200, BODY)
        assert response.headers["Content-Type"] == TEXT
        assert response.headers["Content-Disposition"] == query["response-content-disposition"]


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ({"Content-Type": TEXT}, {"Content-Type": "text/html"}),
        ({"Content-Type": TEXT, "Content-Length": "3"}, {"Content-Type": TEXT}),
    ],
)
async def test_signed_headers_must_be_sent_as_they_were_signed(
    http: aiohttp.ClientSession, presigner: Presigner, name: str, signed: dict[str, str], sent: dict[str, str]
) -> None:
    async with http.put(sign(presigner, "PUT", name, headers=signed), data=BODY, headers=sent) as response:
        assert response.status == 403
    assert await ObjectStore(http, presigner, timeout_seconds=5).head(name) is None


async def test_a_url_serves_one_method_one_object_and_its_time(
    http: aiohttp.ClientSession, presigner: Presigner, name: str
) -> None:
    await put(http, presigner, name)
    to_get = sign(presigner, "GET", name)
    async with http.put(to_get, data=b"other") as response:
        assert response.status == 403
    async with http.get(to_get.with_path(to_get.path.replace("file", "other"), keep_query=True)) as response:
        assert response.status == 403
    async with http.get(sign(presigner, "GET", name, age_seconds=120)) as response:
        assert response.status in {400, 403}


async def test_the_store_says_what_it_holds(http: aiohttp.ClientSession, presigner: Presigner, name: str) -> None:
    store = ObjectStore(http, presigner, timeout_seconds=5)
    expected = StoredObject(len(BODY), TEXT)
    assert await store.bucket_exists()
    assert await store.head(name) is None
    assert await store.sha256(name, expected=expected) is None
    await put(http, presigner, name)
    assert await store.head(name) == expected
    assert await store.sha256(name, expected=expected) == (expected, sha256(BODY).hexdigest())
    await store.delete(name)
    await store.delete(name)
    assert await store.head(name) is None


async def test_bytes_that_would_compress_well_are_hashed_as_they_were_put(
    http: aiohttp.ClientSession, presigner: Presigner, name: str
) -> None:
    body = b"a" * 3_000_000
    await put(http, presigner, name, body)
    expected = StoredObject(len(body), TEXT)
    found = await ObjectStore(http, presigner, timeout_seconds=5).sha256(name, expected=expected)
    assert found == (expected, sha256(body).hexdigest())


async def test_a_put_that_is_signed_for_a_hash_takes_no_other_bytes(
    http: aiohttp.ClientSession, presigner: Presigner, name: str
) -> None:
    """So a grant that is used once more cannot change what was verified."""
    headers = {"Content-Type": TEXT, "x-amz-checksum-sha256": b64encode(sha256(BODY).digest()).decode()}

    async def put(body: bytes) -> int:
        async with http.put(sign(presigner, "PUT", name, headers=headers), data=body, headers=headers) as response:
            return response.status

    assert await put(b"OTHER BYTE") == 400
    assert await ObjectStore(http, presigner, timeout_seconds=5).head(name) is None
    assert await put(BODY) == 200
    assert await put(b"OTHER BYTE") == 400
    async with http.get(sign(presigner, "GET", name)) as response:
        assert await response.read() == BODY


async def test_objects_are_listed_by_what_their_names_begin_with(
    http: aiohttp.ClientSession, presigner: Presigner
) -> None:
    folder = f"conformance/{uuid4()}"
    names = sorted(f"{folder}/{n}/a & b.txt" for n in range(5))
    for each in (*names, f"{folder}-other/x.txt"):
        await put(http, presigner, each)
    store = ObjectStore(http, presigner, timeout_seconds=5)
    assert [(listed.object_name, listed.size_bytes) async for listed in store.list(f"{folder}/")] == [
        (each, len(BODY)) for each in names
    ]
    assert [listed async for listed in store.list(f"{folder}/none")] == []


async def test_a_long_list_comes_whole_page_by_page_though_it_is_deleted_from_meanwhile(
    http: aiohttp.ClientSession, presigner: Presigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"conformance/{uuid4()}/"
    names = [f"{folder}{n}.txt" for n in range(5)]
    for each in names:
        await put(http, presigner, each)
    monkeypatch.setattr(object_listing, "_PAGE_LENGTH", 2)
    store = ObjectStore(http, presigner, timeout_seconds=5)
    seen = []
    async for listed in store.list(folder):
        seen.append(listed.object_name)
        await store.delete(listed.object_name)
    assert seen == names
    assert [listed async for listed in store.list(folder)] == []


async def test_a_bucket_that_is_not_there_is_no_empty_one(
    http: aiohttp.ClientSession, make_settings: Callable[..., ArtifactsSettings]
) -> None:
    settings = make_settings()
    elsewhere = Presigner(
        parse_endpoint(settings.minio_endpoint, secure=False),
        bucket="nobody-made-this",
        region=settings.minio_region,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
    )
    with pytest.raises(StorageUnavailableError):
        [_ async for _ in ObjectStore(http, elsewhere, timeout_seconds=5).list("jobs/")]


async def test_a_store_that_is_not_there_is_unavailable(http: aiohttp.ClientSession) -> None:
    nowhere = parse_endpoint("127.0.0.1:1", secure=False)
    presigner = Presigner(nowhere, bucket="b", region="us-east-1", access_key="a", secret_key="s")
    with pytest.raises(StorageUnavailableError) as caught:
        await ObjectStore(http, presigner, timeout_seconds=5).head("secret-name")
    assert "Signature" not in repr(caught.value)
    assert "Signature" not in str(caught.value)


async def test_pages_of_the_allowed_origins_may_use_the_bucket(
    http: aiohttp.ClientSession, presigner: Presigner, name: str
) -> None:
    url = sign(presigner, "PUT", name, headers={"Content-Type": TEXT})

    async def allowed_origin(origin: str) -> str | None:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        }
        async with http.options(url, headers=asked) as response:
            return response.headers.get("Access-Control-Allow-Origin")

    if await allowed_origin("http://stranger.test") is not None:
        pytest.skip("this store has no CORS of its own per bucket: it answers every origin")
    assert await allowed_origin(ORIGIN) == ORIGIN
