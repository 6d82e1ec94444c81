"""Where the servers are, and with which credentials."""

from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from devstack.vhosts import AnyVhosts


class ServerKind(StrEnum):
    POSTGRES = "postgres"
    RABBITMQ = "rabbitmq"
    S3 = "s3"


class _Address(BaseModel):
    model_config = ConfigDict(frozen=True)


class PostgresAddress(_Address):
    """A role that may create databases and roles."""

    admin_url: str
    """``postgresql+asyncpg://user:password@host:port/database``"""


class RabbitAddress(_Address):
    url: str
    """``amqp://user:password@host:port/vhost``"""
    vhosts: AnyVhosts | None = Field(default=None, discriminator="how")
    """How virtual hosts are made there; None on a server somebody else runs."""


class S3Address(_Address):
    endpoint: str
    """``http://host:port``"""
    access_key: str
    secret_key: str
    bucket: str = "pipeline3d"
    """The bucket to use. The artifacts service creates it at start."""


class ServerAddresses(_Address):
    """The servers that were asked for. Reading one that was not is a mistake of the caller."""

    postgres: PostgresAddress | None = None
    rabbitmq: RabbitAddress | None = None
    s3_store: S3Address | None = None

    @property
    def postgres_admin_url(self) -> str:
        return _asked_for(self.postgres, ServerKind.POSTGRES).admin_url

    @property
    def broker(self) -> RabbitAddress:
        return _asked_for(self.rabbitmq, ServerKind.RABBITMQ)

    @property
    def rabbitmq_url(self) -> str:
        """Its administrator's."""
        return self.broker.url

    @property
    def s3(self) -> S3Address:
        return _asked_for(self.s3_store, ServerKind.S3)

    def of(self, kind: ServerKind) -> "Address":
        match kind:
            case ServerKind.POSTGRES:
                return _asked_for(self.postgres, kind)
            case ServerKind.RABBITMQ:
                return _asked_for(self.rabbitmq, kind)
            case ServerKind.S3:
                return _asked_for(self.s3_store, kind)


Address = PostgresAddress | RabbitAddress | S3Address

_A = TypeVar("_A")


def _asked_for(address: _A | None, kind: ServerKind) -> _A:
    if address is None:
        raise LookupError(f"{kind} was not among the servers that were asked for")
    return address
