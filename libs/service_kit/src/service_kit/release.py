"""Which release of a service is running."""

from importlib.metadata import PackageNotFoundError, version


def release_of(service: str) -> str:
    """The version of the service's distribution; ``unknown`` for one that runs without being installed."""
    try:
        return version(f"pipeline3d-{service}")
    except PackageNotFoundError:
        return "unknown"
