"""Servers of one's own that speak TLS, with certificates of an authority that nobody knows but who is told."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import trustme
from tls_terminator import TlsTerminator

from devstack.addresses import RabbitAddress, ServerAddresses
from devstack.embedded import EmbeddedServer
from devstack.ports import free_ports
from devstack.postgres import embedded_postgres_server
from devstack.rabbitmq import embedded_rabbitmq_server
from devstack.seaweedfs import Https, embedded_s3_server
from devstack.services import Service, database_url, service_broker_url
from devstack.state import StateDirectory


@dataclass(frozen=True)
class SecuredServers:
    addresses: ServerAddresses
    """By which they are reached without TLS: the administrator's way."""
    rabbitmq: EmbeddedServer[RabbitAddress]
    to_postgres: TlsTerminator
    ca_file: Path
    foreign_ca_file: Path
    """Of another authority, which has signed none of this."""
    amqps_port: int
    https_port: int

    @property
    def storage_endpoint(self) -> str:
        return f"https://127.0.0.1:{self.https_port}"

    def broker_url(self, service: Service, *, host: str = "127.0.0.1") -> str:
        parts = urlsplit(service_broker_url(self.addresses.broker, service))
        credentials = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(scheme="amqps", netloc=f"{credentials}@{host}:{self.amqps_port}"))

    def database_url(self, service: Service, *, host: str = "127.0.0.1") -> str:
        parts = urlsplit(database_url(self.addresses.postgres_admin_url, service))
        credentials = parts.netloc.rpartition("@")[0]
        place = f"{host}:{self.to_postgres.port}"
        return urlunsplit(parts._replace(netloc=f"{credentials}@{place}", query="sslmode=verify-full"))

    def settings(self, service: Service) -> dict[str, str]:
        """With which a service trusts these servers, and speaks to them by TLS alone."""
        ca_file = str(self.ca_file)
        settings = {"RABBITMQ_URL": self.broker_url(service), "RABBITMQ_CA_FILE": ca_file}
        if service is Service.GPU_WORKER:
            return settings | {"STORAGE_CA_FILE": ca_file}
        settings |= {"DATABASE_URL": self.database_url(service), "DATABASE_CA_FILE": ca_file}
        if service is Service.ARTIFACTS:
            settings |= {"MINIO_ENDPOINT": self.storage_endpoint, "MINIO_CA_FILE": ca_file}
            settings |= {"MINIO_WORKER_ENDPOINT": self.storage_endpoint}
        return settings


@asynccontextmanager
async def secured_servers(folder: Path) -> AsyncIterator[SecuredServers]:
    """Certificates are for 127.0.0.1 and for no other name."""
    ca_file, certificate_file, key_file = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    trustme.CA().cert_pem.write_to_path(str(folder / "foreign.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(certificate_file))
    key_file.touch(mode=0o600)
    certificate.private_key_pem.write_to_path(str(key_file))
    amqps_port, https_port = free_ports(2)
    state = StateDirectory(folder / "servers")
    with state.claimed():
        _have_rabbitmq_speak_tls(state, amqps_port, ca_file, certificate_file, key_file)
        async with (
            embedded_postgres_server(state, durable=False) as postgres,
            embedded_rabbitmq_server(state, durable=False) as rabbitmq,
            embedded_s3_server(state, durable=False, https=Https(https_port, certificate_file, key_file)) as s3,
        ):
            addresses = ServerAddresses(postgres=postgres.address, rabbitmq=rabbitmq.address, s3_store=s3.address)
            # The embedded PostgreSQL is built without TLS.
            async with TlsTerminator(
                urlsplit(addresses.postgres_admin_url).port or 0, _server_context(certificate)
            ) as way:
                yield SecuredServers(addresses, rabbitmq, way, ca_file, folder / "foreign.pem", amqps_port, https_port)


def _have_rabbitmq_speak_tls(state: StateDirectory, port: int, ca: Path, certificate: Path, key: Path) -> None:
    (state.directory("rabbitmq", "conf.d") / "tls.conf").write_text(
        f"listeners.ssl.default = 127.0.0.1:{port}\n"
        f"ssl_options.cacertfile = {ca}\nssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
        "ssl_options.verify = verify_none\n"  # of clients: they prove themselves by their passwords
    )


def _server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
