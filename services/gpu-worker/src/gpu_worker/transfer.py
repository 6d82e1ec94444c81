"""Moves files between an attempt's folder and the store, by presigned URLs. Those are never logged."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from yarl import URL

from contracts.artifacts_api import OutputUpload
from contracts.failures import FailureCode
from gpu_worker.failures import AttemptError
from gpu_worker.http_retry import PassingError, with_retries

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
_CHUNK_BYTES = 256 * 1024

OnBytes = Callable[[int], None]
"""Hears how many bytes have been moved so far; a retry begins at 0 again."""


class Transfer:
    def __init__(self, session: aiohttp.ClientSession, *, max_input_bytes: int, tries: int) -> None:
        """`session` must not carry credentials: the URLs are their own."""
        self._session = session
        self._max_input_bytes = max_input_bytes
        self._tries = tries

    async def download(self, url: str, path: Path, on_fraction: Callable[[float], None]) -> None:
        """Raises AttemptError: INPUT_NOT_FOUND, INVALID_IMAGE if empty, IMAGE_TOO_LARGE, STORAGE_UNAVAILABLE."""

        async def once() -> int:
            async with self._session.get(URL(url, encoded=True), timeout=_TIMEOUT, allow_redirects=False) as response:
                if response.status == 404:
                    raise AttemptError(FailureCode.INPUT_NOT_FOUND, "the uploaded image is gone; upload it again")
                if response.status != 200:
                    raise PassingError(f"HTTP {response.status}")
                self._refuse_size(response.content_length or 0)
                return await self._save(response, path, on_fraction)

        if await with_retries("downloading the input", once, tries=self._tries) == 0:
            raise AttemptError(FailureCode.INVALID_IMAGE, "the uploaded image is empty; upload it again")

    async def upload(self, target: OutputUpload, path: Path, size_bytes: int, on_bytes: OnBytes) -> None:
        """Raises AttemptError(STORAGE_UNAVAILABLE)."""
        headers = {"Content-Length": str(size_bytes), **target.headers}

        async def once() -> None:
            async with self._session.put(
                URL(target.url, encoded=True),
                data=_chunks(path, on_bytes) if size_bytes else b"",
                headers=headers,
                skip_auto_headers=("Content-Type",),  # the signature knows only the headers of the grant
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    raise PassingError(f"HTTP {response.status}")

        await with_retries(f"uploading {target.name}", once, tries=self._tries)

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
