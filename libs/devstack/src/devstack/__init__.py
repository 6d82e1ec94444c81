"""PostgreSQL, RabbitMQ, S3 and the project's services, started for development and tests."""

from devstack.addresses import PostgresAddress, RabbitAddress, S3Address, ServerAddresses, ServerKind
from devstack.errors import DevstackError, MissingPrerequisiteError, StartError, StateInUseError
from devstack.isolation import isolated

__all__ = [
    "DevstackError",
    "MissingPrerequisiteError",
    "PostgresAddress",
    "RabbitAddress",
    "S3Address",
    "ServerAddresses",
    "ServerKind",
    "StartError",
    "StateInUseError",
    "isolated",
]
