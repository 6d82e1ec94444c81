from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack.addresses import PostgresAddress, RabbitAddress, S3Address, ServerAddresses
from devstack.services import (
    Service,
    StackSettings,
    Superuser,
    Tokens,
    role_password,
    service_broker_url,
    service_environment,
)
from devstack.vhosts import ErlangVhosts

ADMIN_URL = "postgresql+asyncpg://postgres:admin-secret@127.0.0.1:5432/postgres"
SERVERS = ServerAddresses(
    postgres=PostgresAddress(admin_url=ADMIN_URL),
    rabbitmq=RabbitAddress(url="amqp://user:broker-secret@127.0.0.1:5672/"),
    s3_store=S3Address(endpoint="http://127.0.0.1:9000", access_key="access", secret_key="store-secret"),
)
TOKENS = Tokens(gateway="gateway-token-gateway", worker="worker-token-worker")


def environment(service: Service, settings: StackSettings | None = None) -> dict[str, str]:
    superuser = Superuser("admin", "superuser-password", "superuser-key")
    return service_environment(
        service,
        name=f"{service}-1",
        port=8000,
        servers=SERVERS,
        artifacts_url="http://127.0.0.1:8002",
        tokens=TOKENS,
        work_directory=Path("/work"),
        settings=settings or StackSettings(Path("/state"), superuser),
    )


@pytest.mark.parametrize(
    ("service", "may_know"),
    [
        (Service.GATEWAY, {"broker-secret", TOKENS.gateway, role_password(ADMIN_URL, Service.GATEWAY)}),
        (Service.ORCHESTRATOR, {"broker-secret", role_password(ADMIN_URL, Service.ORCHESTRATOR)}),
        (Service.GPU_WORKER, {"broker-secret", TOKENS.worker}),
        (
            Service.ARTIFACTS,
            {
                "broker-secret",
                "store-secret",
                TOKENS.gateway,
                TOKENS.worker,
                role_password(ADMIN_URL, Service.ARTIFACTS),
            },
        ),
    ],
)
def test_a_service_knows_the_secrets_it_needs_and_no_other(
    service: Service, may_know: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "developers-own-secret")
    every_secret = {
        "admin-secret", "broker-secret", "store-secret", "superuser-password", "superuser-key", "developers-own-secret",
        TOKENS.gateway, TOKENS.worker, *(role_password(ADMIN_URL, of) for of in Service),
    }  # fmt: skip
    said = "\n".join(environment(service).values())
    assert {secret for secret in every_secret if secret in said} == may_know


def test_a_service_knows_the_bus_as_its_own_user_and_no_other() -> None:
    vhosts = ErlangVhosts(node="n", epmd_port=1, home=Path("/"), user="administrator")
    broker = RabbitAddress(url="amqp://administrator:broker-secret@127.0.0.1:5672/v", vhosts=vhosts)
    urls = {service: service_broker_url(broker, service) for service in Service}
    users = {service: urlsplit(url).username for service, url in urls.items()}
    assert users == {
        Service.GATEWAY: "p3d-gateway",
        Service.ORCHESTRATOR: "p3d-orchestrator",
        Service.GPU_WORKER: "p3d-gpu-worker",
        Service.ARTIFACTS: "p3d-artifacts",
    }
    assert len({urlsplit(url).password for url in urls.values()} - {"broker-secret"}) == len(Service)


def test_a_services_role_has_one_password_in_every_database_of_a_server() -> None:
    elsewhere = urlsplit(ADMIN_URL)._replace(path="/another").geturl()
    assert role_password(elsewhere, Service.GATEWAY) == role_password(ADMIN_URL, Service.GATEWAY)
    assert role_password(ADMIN_URL.replace("admin-secret", "x"), Service.GATEWAY) != role_password(
        ADMIN_URL, Service.GATEWAY
    )


def test_common_settings_cannot_override_what_the_stack_decides() -> None:
    superuser = Superuser("admin", "p", "k")
    settings = StackSettings(
        Path("/state"),
        superuser,
        common={"PORT": "1", "LEASE_TTL_SECONDS": "30"},
        extra={Service.ORCHESTRATOR: {"MAX_BATCH": "7"}},
    )
    assert environment(Service.ORCHESTRATOR, settings)["PORT"] == "8000"
    assert environment(Service.ORCHESTRATOR, settings)["LEASE_TTL_SECONDS"] == "30"
    assert environment(Service.ORCHESTRATOR, settings)["MAX_BATCH"] == "7"
    own = StackSettings(Path("/state"), superuser, of_process={"orchestrator-1": {"MAX_BATCH": "9"}})
    assert environment(Service.ORCHESTRATOR, own)["MAX_BATCH"] == "9"
    assert "MAX_BATCH" not in environment(Service.GATEWAY, own)
    assert "MAX_BATCH" not in environment(Service.GATEWAY, settings)
