"""The URLs this service hands out: signed for the endpoint of whoever uses them, and counted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from artifacts.metrics import PRESIGNED_URLS
from artifacts.presigner import Presigner


class SignedUrls:
    """`kind` names the purpose in the metric."""

    def __init__(self, presigner: Presigner, *, ttl_seconds: int, kind: str) -> None:
        self._presigner = presigner
        self._count = PRESIGNED_URLS.labels(kind=kind)
        self.ttl_seconds = ttl_seconds

    def to_get(self, object_name: str, *, filename: str | None = None) -> str:
        """A download; with `filename` a browser saves it under that name, and never shows it as a page."""
        query = {} if filename is None else {"response-content-disposition": _attachment(filename)}
        return self._sign("GET", object_name, {}, query)

    def to_put(self, object_name: str, headers: Mapping[str, str]) -> str:
        """An upload; a request whose headers differ from `headers` is refused by the store."""
        return self._sign("PUT", object_name, headers, {})

    def _sign(self, method: str, object_name: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        self._count.inc()
        return self._presigner.presign(
            method,
            object_name,
            now=datetime.now(UTC),
            expires_in_seconds=self.ttl_seconds,
            headers=headers,
            query=query,
        )


def _attachment(filename: str) -> str:
    """RFC 6266: the plain form for old clients, the extended one (RFC 8187) for names beyond ASCII."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{extended}'
