"""Starting before what one depends on is there."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aio_pika.exceptions
import asyncpg
import structlog

from service_kit.backoff import growing_pauses
from service_kit.errors import is_operational
from service_kit.tls import UntrustedServerError, certificate_refusal

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_WRONG_SETTINGS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    aio_pika.exceptions.AuthenticationError,
    aio_pika.exceptions.ProbableAuthenticationError,
)


async def once_available(what: str, open_: Callable[[], Awaitable[T]], *, patience_seconds: float) -> T:
    """What `open_` returns, as soon as it works. While a dependency is away it is tried again, at most 5 s apart.

    A process that ends instead is started again by its supervisor, and a start costs two seconds of CPU: in an outage all of
    them would be busy with starting. Raises the last error when the patience is over, and at once what waiting cannot mend: a
    wrong password, a missing database, a server that is not to be trusted (`UntrustedServerError`), a bug.
    """
    give_up_at = time.monotonic() + patience_seconds
    for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
        try:
            return await open_()
        except Exception as error:
            if refusal := certificate_refusal(error):
                message = f"the {what} is not who the settings name: {refusal.verify_message}"
                raise UntrustedServerError(f"{message}; look at its host name and at its …_CA_FILE") from error
            if isinstance(error, _WRONG_SETTINGS) or not is_operational(error) or time.monotonic() > give_up_at:
                raise
            log.warning("startup.dependency.awaited", what=what, error=repr(error))
        await asyncio.sleep(pause_seconds)
    raise AssertionError("pauses have no end")
