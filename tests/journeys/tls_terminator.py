"""PostgreSQL's way to TLS for a server that was built without: the handshake ends here, what it carries goes on in the clear.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
"""

import asyncio
import ssl
from contextlib import suppress

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class TlsTerminator:
    """Lets in only who asks for TLS. `async with` opens it."""

    def __init__(self, target_port: int, context: ssl.SSLContext) -> None:
        self._target_port = target_port
        self._context = context
        self.port = 0
        self.ways_on: set[int] = set()
        """Ports from which it has connected to the server: what came from there was encrypted."""

    async def __aenter__(self) -> "TlsTerminator":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            if await near.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST:
                near_writer.write(b"S")
                await near_writer.start_tls(self._context)
                await self._lead_on(near, near_writer)
        near_writer.close()

    async def _lead_on(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        far, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self.ways_on.add(far_writer.get_extra_info("sockname")[1])
        await asyncio.gather(_pump(near, far_writer), _pump(far, near_writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
