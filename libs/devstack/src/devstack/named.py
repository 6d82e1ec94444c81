"""Servers the environment names. They are used as they are; nothing is started and nothing stopped."""

from collections.abc import Mapping

from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address, ServerKind

VARIABLES = {
    ServerKind.POSTGRES: "DATABASE_URL",
    ServerKind.RABBITMQ: "RABBITMQ_URL",
    ServerKind.S3: "MINIO_ENDPOINT",
}


def named_server(kind: ServerKind, environment: Mapping[str, str]) -> Address | None:
    """The address of this kind the environment names; a store counts as named only together with its keys."""
    value = environment.get(VARIABLES[kind])
    if not value:
        return None
    match kind:
        case ServerKind.POSTGRES:
            return PostgresAddress(admin_url=value.replace("postgresql://", "postgresql+asyncpg://", 1))
        case ServerKind.RABBITMQ:
            return RabbitAddress(url=value)
        case ServerKind.S3:
            return _store(value, environment)


def _store(endpoint: str, environment: Mapping[str, str]) -> S3Address | None:
    access_key, secret_key = environment.get("MINIO_ACCESS_KEY"), environment.get("MINIO_SECRET_KEY")
    if not (access_key and secret_key):
        return None
    if "://" not in endpoint:
        secure = environment.get("MINIO_SECURE", "").lower() in ("1", "true", "yes", "on")
        endpoint = f"{'https' if secure else 'http'}://{endpoint}"
    bucket = environment.get("MINIO_BUCKET") or "pipeline3d"
    return S3Address(endpoint=endpoint, access_key=access_key, secret_key=secret_key, bucket=bucket)
