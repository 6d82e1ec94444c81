"""The service's own traffic with the store: is it there, what is its hash, what else is there, remove it.

Each request is a presigned one that is used at once, on one kept-alive aiohttp session. Through aiobotocore a small GET takes
1.4 ms of CPU, like this 0.2 ms (README), and every job needs one.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import structlog
from yarl import URL

from artifacts.errors import StorageUnavailableError
from artifacts.object_listing import ListedObject, ObjectListing, listing_query, parse_listing
from artifacts.presigner import Presigner
from service_kit.tls import https_trusting
from service_kit.tracing.http_spans import note_answer, transferring

log = structlog.get_logger()

_URL_TTL_SECONDS = 60
_CHUNK_BYTES = 1024 * 1024
_CONCURRENT_READS = 16
_LONGEST_WAIT_FOR_READ_SECONDS = 20
"""For a turn. A worker waits 30 s for its registration: who waits longer here works for nobody."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    size_bytes: int
    content_type: str


def open_session(ca_file: Path | None = None) -> aiohttp.ClientSession:
    """Asks for the bytes as they were uploaded: some stores compress on their own where a client would take it."""
    connector = aiohttp.TCPConnector(ssl=https_trusting(ca_file))
    return aiohttp.ClientSession(connector=connector, headers={"Accept-Encoding": "identity"})


class ObjectStore:
    """One bucket. Raises `StorageUnavailableError` where the store does not answer or refuses; a missing object is None.

    Whatever the store does, a question ends: after `timeout_seconds`, the wait for a connection included. Only reading an object
    may take its time, as long as bytes come.
    """

    def __init__(self, session: aiohttp.ClientSession, presigner: Presigner, *, timeout_seconds: float) -> None:
        self._session = session
        self._presigner = presigner
        self._reads = asyncio.Semaphore(_CONCURRENT_READS)
        self._to_ask = aiohttp.ClientTimeout(total=timeout_seconds)
        self._to_read = aiohttp.ClientTimeout(total=None, connect=timeout_seconds, sock_read=timeout_seconds)

    async def bucket_exists(self) -> bool:
        async with self._request("HEAD", "") as response:
            return response.status == 200

    async def head(self, object_name: str) -> StoredObject | None:
        async with self._request("HEAD", object_name) as response:
            return _described(response)

    async def delete(self, object_name: str) -> None:
        """Also succeeds where there is no such object."""
        async with self._request("DELETE", object_name):
            pass

    async def sha256(self, object_name: str, *, expected: StoredObject) -> tuple[StoredObject, str] | None:
        """What is stored and the hash of its bytes; bytes are read only if size and type are as expected, else the hash is ''."""
        async with self._turn_to_read(), self._request("GET", object_name, timeout=self._to_read) as response:
            stored = _described(response)
            if stored is None:
                return None
            return stored, await _hash(response) if stored == expected else ""

    async def list(self, prefix: str) -> AsyncIterator[ListedObject]:
        """The objects whose names begin with `prefix`, in order of their names; some may be deleted while they are listed."""
        page: str | None = None
        while True:
            listing = await self._list_page(prefix, page)
            for listed in listing.objects:
                yield listed
            if (page := listing.next_page) is None:
                return

    async def _list_page(self, prefix: str, page: str | None) -> ObjectListing:
        async with self._request("GET", "", query=listing_query(prefix, page)) as response:
            # A bucket that is not there is no empty one.
            if response.status != 200:
                raise _unavailable(f"a listing was answered with status {response.status}")
            try:
                return parse_listing(await response.read())
            except ValueError as error:
                raise _unavailable(f"a listing could not be read: {error}") from error

    @asynccontextmanager
    async def _turn_to_read(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_LONGEST_WAIT_FOR_READ_SECONDS):
                await self._reads.acquire()
        except TimeoutError:
            raise _unavailable("too many objects are being read") from None
        try:
            yield
        finally:
            self._reads.release()

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        object_name: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(
            self._presigner.presign(
                method, object_name, now=datetime.now(UTC), expires_in_seconds=_URL_TTL_SECONDS, query=query
            ),
            encoded=True,
        )
        try:
            with transferring(method, url) as span:
                async with self._session.request(
                    method, url, allow_redirects=False, timeout=timeout or self._to_ask
                ) as response:
                    note_answer(span, response.status)
                    if response.status not in {200, 204, 404}:
                        raise _unavailable(f"{method} was answered with status {response.status}")
                    yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            # Without its cause, whose text holds the URL.
            raise _unavailable(f"{method} failed: {type(error).__name__}") from None


def _unavailable(reason: str) -> StorageUnavailableError:
    log.warning("artifacts.storage.not_reached", reason=reason)
    return StorageUnavailableError(reason)


def _described(response: aiohttp.ClientResponse) -> StoredObject | None:
    if response.status == 404:
        return None
    return StoredObject(int(response.headers["Content-Length"]), response.headers.get("Content-Type", ""))


async def _hash(response: aiohttp.ClientResponse) -> str:
    digest = hashlib.sha256()
    buffer = bytearray()
    async for chunk in response.content.iter_any():
        buffer += chunk
        if len(buffer) >= _CHUNK_BYTES:
            # A megabyte takes about a millisecond, too long for the event loop if there are many of them.
            await asyncio.to_thread(digest.update, buffer)
            buffer = bytearray()
    digest.update(buffer)
    return digest.hexdigest()
