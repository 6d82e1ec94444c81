"""Moves files between an attempt's folder and the store, by presigned URLs. Those are never logged."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import aiohttp
from yarl import URL

from contracts.artifacts_api import OutputUpload
from contracts.failures import FailureCode
from gpu_worker.failures import AttemptError
from gpu_worker.storage_patience import PassingError
from service_kit.tracing.http_spans import note_answer, transferring

_CONNECT_TIMEOUT_SECONDS = 5.0
_CHUNK_BYTES = 256 * 1024
_LONGEST_PROBLEM_BYTES = 10_000

OnBytes = Callable[[int], None]
"""Hears how many bytes have been moved so far; a retry begins at 0 again."""


class Transfer:
    """Tries once. Raises PassingError, aiohttp.ClientError, OSError or TimeoutError if trying again may help, perhaps with a
    new URL: one that has expired is refused like any other."""

    def __init__(self, session: aiohttp.ClientSession, *, max_input_bytes: int, stall_seconds: float = 30.0) -> None:
        """`session` must not carry credentials: the URLs are their own. A store that moves nothing for `stall_seconds` is
        away."""
        self._session = session
        self._max_input_bytes = max_input_bytes
        self._stall_seconds = stall_seconds
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT_SECONDS, sock_read=stall_seconds
        )

    async def download(self, url: str, path: Path, on_fraction: Callable[[float], None]) -> None:
        """Raises AttemptError: INPUT_NOT_FOUND, INVALID_IMAGE if empty, IMAGE_TOO_LARGE."""
        place = URL(url, encoded=True)
        with transferring("GET", place) as span:
            async with self._session.get(place, timeout=self._timeout, allow_redirects=False) as response:
                note_answer(span, response.status)
                if response.status == 404 and b"NoSuchKey" in await response.content.read(_LONGEST_PROBLEM_BYTES):
                    raise AttemptError(FailureCode.INPUT_NOT_FOUND, "the uploaded image is gone; upload it again")
                if response.status != 200:
                    raise PassingError(f"HTTP {response.status}")
                self._refuse_size(response.content_length or 0)
                if await self._save(response, path, on_fraction) == 0:
                    raise AttemptError(FailureCode.INVALID_IMAGE, "the uploaded image is empty; upload it again")

    async def upload(self, target: OutputUpload, path: Path, size_bytes: int, on_bytes: OnBytes) -> None:
        place = URL(target.url, encoded=True)
        with transferring("PUT", place) as span:
            span.attributes["http.request.body.size"] = size_bytes
            note_answer(span, await self._put(place, target.headers, path, size_bytes, on_bytes))

    async def _put(self, place: URL, headers: Mapping[str, str], path: Path, size_bytes: int, on_bytes: OnBytes) -> int:
        """The status."""
        # aiohttp times what it reads; a store that takes no more bytes would be waited for without end.
        async with asyncio.timeout(self._stall_seconds) as stall:

            def moved(byte_count: int) -> None:
                stall.reschedule(asyncio.get_running_loop().time() + self._stall_seconds)
                on_bytes(byte_count)

            async with self._session.put(
                place,
                data=_chunks(path, moved) if size_bytes else b"",
                headers={"Content-Length": str(size_bytes), **headers},
                skip_auto_headers=("Content-Type",),  # the signature knows only the headers of the grant
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    raise PassingError(f"HTTP {response.status}")
                return response.status

    async def _save(self, response: aiohttp.ClientResponse, path: Path, on_fraction: Callable[[float], None]) -> int:
        expected = response.content_length or 0
        received = 0
        file = await asyncio.to_thread(path.open, "wb")
        with file:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                received += len(chunk)
                self._refuse_size(received)
                await asyncio.to_thread(file.write, chunk)
                if expected:
                    on_fraction(received / expected)
        return received

    def _refuse_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_input_bytes:
            message = (
                f"the uploaded image is larger than the {self._max_input_bytes} bytes allowed; upload a smaller one"
            )
            raise AttemptError(FailureCode.IMAGE_TOO_LARGE, message)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _chunks(path: Path, on_bytes: OnBytes) -> AsyncIterator[bytes]:
    sent = 0
    file = await asyncio.to_thread(path.open, "rb")
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            on_bytes(sent)
