"""A keep-alive HTTP/1.1 connection that costs the load generator next to nothing.

The generator shares two cores with the system it measures; a full client would spend as much per request as the gateway does.
It knows just what our gateway answers: a status line, headers with `content-length`, a body.
"""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit


class Connection:
    def __init__(self, api_url: str, api_key: str) -> None:
        self._address = urlsplit(api_url)
        self._headers = f"host: {self._address.netloc}\r\nx-api-key: {api_key}\r\ncontent-type: application/json\r\n"

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self

    def close(self) -> None:
        self._writer.close()

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body."""
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}content-length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        headers = answer.lower()
        at = headers.index(b"content-length:") + len(b"content-length:")
        length = int(headers[at : headers.index(b"\r\n", at)])
        return int(answer[9:12]), await self._reader.readexactly(length)

    async def post_job(self, body: bytes) -> str:
        """Creates a job and answers its id."""
        status, answer = await self.request("POST", "/api/v1/jobs/", body)
        if status != 201:
            raise RuntimeError(f"POST /jobs/ answered {status}: {answer[:300]!r}")
        job_id: str = json.loads(answer)["id"]
        return job_id

    async def job(self, job_id: str) -> dict[str, Any]:
        status, answer = await self.request("GET", f"/api/v1/jobs/{job_id}")
        if status != 200:
            raise RuntimeError(f"GET /jobs/{job_id} answered {status}: {answer[:300]!r}")
        job: dict[str, Any] = json.loads(answer)
        return job
