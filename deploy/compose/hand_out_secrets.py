"""`hand_out_secrets.py FOLDER`: draws the secrets of the stack once, and gives each service its own.

The first thing `docker compose up` runs. What was drawn stays in `FOLDER/kept`, a volume that nothing else mounts. Every run
hands it out anew to `FOLDER/<service>`, a volume for each, so that no service can read another's. What the environment names
goes before what was drawn, and is kept from then on. Idempotent. Prints no secret.
"""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

MAY_BE_CHOSEN = (
    "first_superuser_username",
    "first_superuser_password",
    "first_superuser_api_key",
    "minio_access_key",
    "minio_secret_key",
    "grafana_password",
)
"""By the environment, in upper case. All else is between containers, and nobody has to know it."""

DATABASE_SERVICES = ("gateway", "orchestrator", "artifacts")
BUS_USERS = ("gateway", "orchestrator", "gpu-worker", "artifacts", "analytics", "operator")

Secret = Callable[[str], str]
Shares = dict[str, dict[str, str]]


class KeptSecrets:
    """One file a secret, drawn when it is asked for the first time."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._chosen = {name: value for name in MAY_BE_CHOSEN if (value := environment.get(name.upper()))}

    def __call__(self, name: str) -> str:
        file = self._folder / name
        if name in self._chosen:
            write_file(file, self._chosen[name], mode=0o400)
        elif not file.exists():
            write_file(file, secrets.token_urlsafe(32), mode=0o400)
        return file.read_text()

    def chosen(self, name: str, *, otherwise: str) -> str:
        """What is a name rather than a secret."""
        return self._chosen.get(name, otherwise)


def shares(secret: KeptSecrets) -> Shares:
    """What each service gets to know: the names of its settings, in lower case, and their values."""
    return {
        "postgres": {"postgres_password": secret("postgres_password")},
        "minio": _store(secret, "minio_root_user", "minio_root_password"),
        "broker": {f"rabbitmq_password_{user.replace('-', '_')}": _bus_password(secret, user) for user in BUS_USERS},
        "migrate": {
            "admin_database_url": _database_url("postgres", secret("postgres_password")),
            **{f"database_password_{service}": _database_password(secret, service) for service in DATABASE_SERVICES},
            **{f"{service}_database_url": _own_database_url(secret, service) for service in DATABASE_SERVICES},
            "first_superuser_username": secret.chosen("first_superuser_username", otherwise="admin"),
            "first_superuser_password": secret("first_superuser_password"),
            "first_superuser_api_key": secret("first_superuser_api_key"),
        },
        "gateway": {
            "database_url": _own_database_url(secret, "gateway"),
            "rabbitmq_url": _bus_url(secret, "gateway"),
            "artifacts_token": secret("gateway_token"),
        },
        "orchestrator": {
            "database_url": _own_database_url(secret, "orchestrator"),
            "rabbitmq_url": _bus_url(secret, "orchestrator"),
        },
        "artifacts": {
            "database_url": _own_database_url(secret, "artifacts"),
            "rabbitmq_url": _bus_url(secret, "artifacts"),
            "gateway_token": secret("gateway_token"),
            "worker_token": secret("worker_token"),
            **_store(secret, "minio_access_key", "minio_secret_key"),
        },
        "gpu-worker": {"rabbitmq_url": _bus_url(secret, "gpu-worker"), "artifacts_token": secret("worker_token")},
        "analytics": {"rabbitmq_url": _bus_url(secret, "analytics")},
        "operator": {"rabbitmq_url": _bus_url(secret, "operator")},
        "grafana": {"grafana_password": secret("grafana_password")},
    }


def _store(secret: KeptSecrets, user: str, password: str) -> dict[str, str]:
    return {
        user: secret.chosen("minio_access_key", otherwise="pipeline3d"),
        password: secret("minio_secret_key"),
    }


def _own_database_url(secret: Secret, service: str) -> str:
    return _database_url(f"p3d_{service}", _database_password(secret, service))


def _database_url(role: str, password: str) -> str:
    return f"postgresql+asyncpg://{role}:{quote(password, safe='')}@postgres:5432/pipeline3d"


def _database_password(secret: Secret, service: str) -> str:
    return secret(f"database_{service}_password")


def _bus_url(secret: Secret, user: str) -> str:
    return f"amqp://p3d-{user}:{quote(_bus_password(secret, user), safe='')}@rabbitmq:5672/"


def _bus_password(secret: Secret, user: str) -> str:
    return secret(f"rabbitmq_{user}_password")


def write_file(file: Path, content: str, *, mode: int) -> None:
    """Whole or not at all: a container that is killed meanwhile leaves no half of a secret."""
    unfinished = file.with_name(f".{file.name}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(content)
        os.fchmod(descriptor, mode)  # whatever the umask
    unfinished.rename(file)


def main(folder: Path) -> None:
    kept = folder / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    handed_out = shares(KeptSecrets(kept, os.environ))
    for service, files in handed_out.items():
        own = folder / service
        own.mkdir(exist_ok=True)
        for name, value in files.items():
            # Readable for whichever user the service's image runs as: nobody else has the volume.
            write_file(own / name, value, mode=0o444)
    print(f"{sum(map(len, handed_out.values()))} secrets are ready for {len(handed_out)} services")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
