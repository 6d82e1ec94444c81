"""SeaweedFS puts some sockets into /tmp, wherever it is told to keep its files, and leaves them there."""

from pathlib import Path

from devstack.state import StateDirectory

_TMP = Path("/tmp")  # noqa: S108  # the place is not ours to choose


def remove_stray_sockets(state: StateDirectory) -> None:
    """Removes those of the last SeaweedFS that ran in this state directory, which must have ended."""
    ports = state.last_ports("s3")
    # Where it is told none, it takes the port of the admin server's gRPC so.
    grpc_ports = [*ports.values(), *(port + 10_000 for name, port in ports.items() if name == "admin.port")]
    for port in grpc_ports:
        for socket in _TMP.glob(f"seaweedfs-*-grpc-{port}.sock"):
            socket.unlink(missing_ok=True)
