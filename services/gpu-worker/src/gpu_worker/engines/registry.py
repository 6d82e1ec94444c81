"""Which engines exist, by name. Names only: a module is imported by the engine's own process, never by the worker."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from gpu_worker.engines.base import Engine

ENGINES: dict[str, str] = {
    "silhouette-v1": "gpu_worker.engines.silhouette.engine:SilhouetteEngine",
    "simulated-v1": "gpu_worker.engines.simulated:SimulatedEngine",
}


def create_engine(name: str) -> Engine:
    """A new engine, not yet set up. `name` is one of ENGINES, or `package.module:Class` of an engine that lives elsewhere.

    Raises LookupError for an unknown name, and whatever importing the engine's module raises.
    """
    location = ENGINES.get(name, name)
    module_name, separator, class_name = location.partition(":")
    if not separator:
        raise LookupError(f"there is no engine {name!r}; known engines are {', '.join(sorted(ENGINES))}")
    engine_class = cast(Callable[[], Engine], getattr(import_module(module_name), class_name))
    return engine_class()
