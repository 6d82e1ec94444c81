"""`python deploy/kubernetes/make_secrets.py [--store] | kubectl create -f -`: every Secret of the stack, drawn at random.

Each service gets its own, and nothing of another's. `kubectl create` refuses what is there already, so a second run changes
nothing. The keys of the store come from `MINIO_ACCESS_KEY` and `MINIO_SECRET_KEY`; with `--store` they are drawn, for the store
of the component `object-store`. `FIRST_SUPERUSER_USERNAME`, `…_PASSWORD` and `…_API_KEY` may be chosen in the same way.

A vault can be filled from the same output: one entry per Secret, with the same keys (components/external-secrets).
"""

import argparse
import base64
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from urllib.parse import quote

from contracts.permissions import BusUser
from service_kit.broker_definitions import broker_definitions

NAMESPACE = "pipeline3d"
VIRTUAL_HOST = "/"
DATABASE_SERVICES = ("gateway", "orchestrator", "artifacts")
DATABASE_ADMIN = "p3d_admin"

Draw = Callable[[str], str]
Secrets = dict[str, dict[str, str]]


def secrets_of_the_stack(draw: Draw, *, with_store: bool) -> Secrets:
    """Name of a Secret → key → value. `draw` answers the same for the same name."""
    bus = {user: draw(f"rabbitmq_password_{user}") for user in BusUser}
    roles = {service: draw(f"database_password_{service}") for service in DATABASE_SERVICES}
    databases = {service: _database_url(f"p3d_{service}", password) for service, password in roles.items()}
    store = {"minio_access_key": draw("minio_access_key"), "minio_secret_key": draw("minio_secret_key")}
    admin_password = draw("postgresql_admin_password")
    return {
        "gateway": {
            "database_url": databases["gateway"],
            "rabbitmq_url": _bus_url(BusUser.GATEWAY, bus),
            "artifacts_token": draw("gateway_token"),
        },
        "orchestrator": {
            "database_url": databases["orchestrator"],
            "rabbitmq_url": _bus_url(BusUser.ORCHESTRATOR, bus),
        },
        "artifacts": {
            "database_url": databases["artifacts"],
            "rabbitmq_url": _bus_url(BusUser.ARTIFACTS, bus),
            "gateway_token": draw("gateway_token"),
            "worker_token": draw("worker_token"),
            **store,
        },
        "gpu-worker": {"rabbitmq_url": _bus_url(BusUser.GPU_WORKER, bus), "artifacts_token": draw("worker_token")},
        "migrate": {
            "admin_database_url": _database_url(DATABASE_ADMIN, admin_password),
            **{f"database_password_{service}": password for service, password in roles.items()},
            **{f"{service}_database_url": url for service, url in databases.items()},
            "first_superuser_username": draw("first_superuser_username"),
            "first_superuser_password": draw("first_superuser_password"),
            "first_superuser_api_key": draw("first_superuser_api_key"),
        },
        "postgresql-admin": {"username": DATABASE_ADMIN, "password": admin_password},
        "rabbitmq-definitions": {"definitions.json": json.dumps(broker_definitions(VIRTUAL_HOST, bus))},
    } | ({"object-store": store} if with_store else {})


def manifest(name: str, values: Mapping[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        # CloudNativePG takes the credentials of a role from no other type.
        "type": "kubernetes.io/basic-auth" if name == "postgresql-admin" else "Opaque",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "pipeline3d"}},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def _database_url(role: str, password: str) -> str:
    return f"postgresql+asyncpg://{role}:{quote(password, safe='')}@postgresql-rw:5432/pipeline3d?sslmode=require"


def _bus_url(user: BusUser, passwords: Mapping[BusUser, str]) -> str:
    return f"amqp://{user.username}:{quote(passwords[user], safe='')}@rabbitmq:5672/"


def _drawing(chosen: Mapping[str, str]) -> Draw:
    drawn = dict(chosen)

    def draw(name: str) -> str:
        return drawn.setdefault(name, secrets.token_urlsafe(32))

    return draw


def _chosen(environment: Mapping[str, str], *, with_store: bool) -> dict[str, str]:
    names = ["first_superuser_username", "first_superuser_password", "first_superuser_api_key"]
    names += ["minio_access_key", "minio_secret_key"]
    chosen = {name: value for name in names if (value := environment.get(name.upper()))}
    if not with_store and not {"minio_access_key", "minio_secret_key"} <= chosen.keys():
        raise SystemExit(
            "Set MINIO_ACCESS_KEY and MINIO_SECRET_KEY to your store's, or take --store for one of its own."
        )
    return {"first_superuser_username": "admin", "minio_access_key": "pipeline3d"} | chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="store_true", help="draw the store's keys too")
    with_store = parser.parse_args().store
    draw = _drawing(_chosen(os.environ, with_store=with_store))
    items = [manifest(name, values) for name, values in secrets_of_the_stack(draw, with_store=with_store).items()]
    json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
