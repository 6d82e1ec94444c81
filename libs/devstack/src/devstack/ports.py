"""Free TCP ports on the loopback interface."""

import secrets
import socket

# Below the range from which Linux takes the ports of outgoing connections (32768–60999), so that none of those
# can take a port between the moment it is found free and the moment its server listens.
_FIRST, _LAST = 15_000, 32_000


def free_ports(count: int) -> list[int]:
    """Distinct ports nobody listens on, chosen at random so that two runs on one machine hardly ever meet."""
    found: set[int] = set()
    while len(found) < count:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if is_free(port):
            found.add(port)
    return list(found)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
