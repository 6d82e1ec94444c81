"""A way to a server on which everything can happen that happens on networks: cut, frozen, slow."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class SeverableWay:
    """Forwards TCP connections to the server of a URL. `async with` opens it; `url` leads through it.

    The port stays the same from the first `mend` on. Every method may be called in every state.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._mending = asyncio.Lock()
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay_seconds = 0.0

    async def __aenter__(self) -> "SeverableWay":
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    @property
    def url(self) -> str:
        """The server's, by this way."""
        return self.leading_to(urlunsplit(self._parts))

    def leading_to(self, url: str) -> str:
        """Another URL of the same server, by this way."""
        parts = urlsplit(url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))

    async def mend(self) -> None:
        """Accepts connections, forwards at once what they carry."""
        self._delay_seconds = 0.0
        self._flowing.set()
        async with self._mending:  # two may come to mend it at the same moment
            if self._server is None:
                self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
                self._port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Ends every connection at once and accepts no new ones, until `mend`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def freeze(self) -> None:
        """Keeps and accepts connections but forwards nothing, in neither direction, until `thaw` or `mend`.

        Nobody is told: this is what a cable pulled out, or a firewall that lost its memory, looks like from both ends.
        """
        self._flowing.clear()

    def thaw(self) -> None:
        """Forwards what was held back, and what comes."""
        self._flowing.set()

    def delay(self, seconds: float) -> None:
        """Holds back everything for so long, each way, until `mend`."""
        self._delay_seconds = seconds

    async def _forward(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        self._open.add(near_writer)
        with suppress(OSError, RuntimeError):  # uvloop raises the latter for a transport that was aborted
            await self._flowing.wait()
            far, far_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            if near_writer not in self._open:  # cut meanwhile
                far_writer.transport.abort()
                return
            self._open.add(far_writer)
            with suppress(OSError, RuntimeError):
                await asyncio.gather(self._pump(near, far_writer), self._pump(far, near_writer))
            far_writer.transport.abort()
            self._open.discard(far_writer)
        # One that cannot be led on ends as if the server had refused it.
        near_writer.transport.abort()
        self._open.discard(near_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
