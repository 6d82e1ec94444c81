"""Where a store is reached. The host is part of every signature, so a URL works only at the endpoint it was signed for."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    scheme: str
    host: str
    """As clients send it in the Host header: with the port unless that is the scheme's own."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


def parse_endpoint(address: str, *, secure: bool) -> Endpoint:
    """The endpoint of ``host``, ``host:port`` or ``scheme://host:port``; without a scheme `secure` decides for TLS."""
    given = address if "://" in address else f"{'https' if secure else 'http'}://{address}"
    parts = urlsplit(given)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f"{address!r} is not an S3 endpoint; write it as host:port or https://host:port")
    if parts.path not in {"", "/"}:
        raise ValueError(f"{address!r} has a path; an S3 store must be reached at the root of its host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.port not in {None, _DEFAULT_PORTS[parts.scheme]}:
        host += f":{parts.port}"
    return Endpoint(parts.scheme, host)
