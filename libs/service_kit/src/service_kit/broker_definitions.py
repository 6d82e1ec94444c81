"""`python -m service_kit.broker_definitions`: prints what RabbitMQ is to have, for its `load_definitions`, as JSON.

The virtual host, a user for each service with the least permissions, exchanges, the queues with fixed names, and their bindings.
RabbitMQ loads it at every start, before it lets anybody in: a node that lost its disk is whole again by itself. What is there
already stays, only users and permissions are brought up to date. Queues of models and workers are made by the workers.
Source: https://www.rabbitmq.com/docs/definitions

Reads `BrokerDefinitionsSettings`. The passwords are in it as salted SHA-256 hashes: they must be too long to be guessed.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, SecretStr

from contracts import topology
from contracts.permissions import BusUser, Grants, grants_of
from contracts.topology import DeadLetterQueue, Exchange, QueueKind
from service_kit.environment import EnvironmentSettings, load_settings

Password = Annotated[SecretStr, Field(min_length=16)]
Definition = dict[str, Any]

_SALT_BYTES = 4  # RabbitMQ's: https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm
_QUEUES = tuple(queue for queue in topology.SHARED_QUEUES if queue.kind is not QueueKind.STREAM)
"""Streams are left to the service that makes them. A node comes up before its streams do, and one whose definitions bind a stream
that it already has may fail to start: https://github.com/rabbitmq/rabbitmq-server/issues/14772"""


class BrokerDefinitionsSettings(EnvironmentSettings):
    """A user without a password is not made. The services are needed in any case, people may not be."""

    rabbitmq_vhost: Annotated[str, Field(min_length=1)] = "/"
    rabbitmq_password_gateway: Password
    rabbitmq_password_orchestrator: Password
    rabbitmq_password_gpu_worker: Password
    rabbitmq_password_artifacts: Password
    rabbitmq_password_analytics: Password | None = None
    rabbitmq_password_operator: Password | None = None

    def passwords(self) -> dict[BusUser, str]:
        given = {user: getattr(self, f"rabbitmq_password_{user.name.lower()}") for user in BusUser}
        return {user: password.get_secret_value() for user, password in given.items() if password is not None}


def broker_definitions(vhost: str, passwords: Mapping[BusUser, str]) -> dict[str, list[Definition]]:
    """As RabbitMQ exports and imports it. The users are those whose passwords are given."""
    grants = [grants_of(user) for user in passwords]
    return {
        "vhosts": [{"name": vhost}],
        "users": [user_definition(user.username, password, user.tags) for user, password in passwords.items()],
        "permissions": [_permissions(vhost, granted) for granted in grants],
        "topic_permissions": [_on_topics(vhost, granted, exchange) for granted in grants for exchange in Exchange],
        "exchanges": [_exchange(vhost, exchange) for exchange in Exchange],
        "queues": list(_queues(vhost)),
        "bindings": list(_bindings(vhost)),
    }


def user_definition(name: str, password: str, tags: Sequence[str] = ()) -> Definition:
    return {
        "name": name,
        "password_hash": _salted_hash(password, os.urandom(_SALT_BYTES)),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def _salted_hash(password: str, salt: bytes) -> str:
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _permissions(vhost: str, grants: Grants) -> Definition:
    return {
        "user": grants.user.username,
        "vhost": vhost,
        "configure": grants.configure,
        "write": grants.write,
        "read": grants.read,
    }


def _on_topics(vhost: str, grants: Grants, exchange: Exchange) -> Definition:
    """For every exchange, also those of which the user has nothing: on one that is not named every key is allowed."""
    return {
        "user": grants.user.username,
        "vhost": vhost,
        "exchange": exchange.value,
        "write": grants.topic_write(exchange),
        "read": grants.topic_read(exchange),
    }


def _exchange(vhost: str, exchange: Exchange) -> Definition:
    return {
        "name": exchange.value,
        "vhost": vhost,
        "type": "topic",
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _queues(vhost: str) -> Iterator[Definition]:
    for queue in _QUEUES:
        if queue.keeps_dead_letters:
            dead = DeadLetterQueue(queue)
            yield _queue(vhost, dead.name, dead.arguments)
        yield _queue(vhost, queue.name, queue.arguments)
    keepsake = topology.ORCHESTRATOR_KEEPSAKE
    yield _queue(vhost, keepsake.name, keepsake.arguments)


def _queue(vhost: str, name: str, arguments: Mapping[str, str | int]) -> Definition:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(arguments)}


def _bindings(vhost: str) -> Iterator[Definition]:
    for queue in _QUEUES:
        if queue.keeps_dead_letters:
            yield _binding(vhost, Exchange.DEAD_LETTERS, DeadLetterQueue(queue).name, queue.name)
        for key in queue.binding_keys:
            yield _binding(vhost, queue.exchange, queue.name, key)
    keepsake = topology.ORCHESTRATOR_KEEPSAKE
    yield _binding(vhost, keepsake.exchange, keepsake.name, keepsake.name)


def _binding(vhost: str, exchange: Exchange, queue: str, key: str) -> Definition:
    return {
        "source": exchange.value,
        "vhost": vhost,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": key,
        "arguments": {},
    }


def main() -> None:
    settings = load_settings(BrokerDefinitionsSettings, "broker_definitions")
    print(json.dumps(broker_definitions(settings.rabbitmq_vhost, settings.passwords()), indent=2))


if __name__ == "__main__":
    main()
