"""Makes a broker ready for the services: a user for each, with the least permissions, on everything that is to be there."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from contracts.permissions import BusUser
from devstack.addresses import RabbitAddress
from devstack.errors import DevstackError
from service_kit.broker_definitions import broker_definitions


async def prepare_broker(broker: RabbitAddress) -> None:
    """Users, permissions, exchanges, queues and bindings, in the virtual host the address names. Idempotent.

    On a broker that somebody else runs it does nothing: there every service is the user of RABBITMQ_URL.
    """
    if broker.vhosts is not None:
        await broker.vhosts.define(json.dumps(definitions_for(_vhost(broker.url), broker.url)))


def definitions_for(vhost: str, admin_url: str) -> dict[str, list[dict[str, Any]]]:
    """Of the services and the operator, with the passwords that `broker_url` gives them."""
    return broker_definitions(vhost, {user: _password(admin_url, user) for user in BusUser})


def broker_url(broker: RabbitAddress, user: BusUser) -> str:
    """The URL by which a service, or the operator, connects: as its own user wherever users can be made."""
    if broker.vhosts is None:
        return broker.url
    return url_as(broker.url, user)


def url_as(admin_url: str, user: BusUser) -> str:
    parts = urlsplit(admin_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user.username}:{_password(admin_url, user)}@{place}"))


def _password(admin_url: str, user: BusUser) -> str:
    """Drawn from the administrator's: users belong to the whole server, and all who share it must agree on their passwords."""
    secret = urlsplit(admin_url).password
    if not secret:
        raise DevstackError("the broker's URL has no password, from which those of its users could be drawn: add one")
    return hmac.digest(unquote(secret).encode(), f"pipeline3d user {user}".encode(), hashlib.sha256).hex()[:40]


def _vhost(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"
