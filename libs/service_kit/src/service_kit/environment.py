"""Where settings come from: the environment, and files that hold a secret each."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

CONTAINERS_SECRETS = Path("/run/secrets")
"""Where Docker and Kubernetes put them by custom."""


class EnvironmentSettings(BaseSettings):
    """Any field can be an environment variable or a file of its name in the folder `SECRETS_DIR`, in lower case.

    The environment wins; an empty variable counts as none. Of a file, blank space around the value does not count: editors end
    files with a new line. Without `SECRETS_DIR` it is `/run/secrets`, where that exists.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # `.env` is devstack's affair
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # knows its folder when the class is made, too early
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_directory(os.environ))


def secrets_directory(environment: Mapping[str, str]) -> Path | None:
    """The folder whose files are secrets, if there is one. Raises `SettingsError` where the environment names one in vain."""
    if named := environment.get("SECRETS_DIR"):
        if not (folder := Path(named)).is_dir():
            raise SettingsError(
                f"SECRETS_DIR is {named}, which is no folder: name the one that holds the secrets, or unset it"
            )
        return folder
    return CONTAINERS_SECRETS if CONTAINERS_SECRETS.is_dir() else None


S = TypeVar("S", bound=BaseSettings)


def _name(settings_type: type[BaseSettings], location: tuple[int | str, ...]) -> str:
    """Of the variable; empty if it is about several of them."""
    prefix = settings_type.model_config.get("env_prefix", "")
    return f"{prefix}{'_'.join(map(str, location))}".upper() if location else ""


def load_settings(settings_type: type[S], service: str) -> S:
    """The settings; unusable ones end the process, with status 2 and a sentence for each that never shows its value."""
    try:
        return settings_type()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = _name(settings_type, item["loc"])
            hint = f"; a file {name.lower()} in SECRETS_DIR does as well" if item["type"] == "missing" else ""
            where = f"environment variable {name}: " if name else ""
            print(f"{service}: {where}{item['msg']}{hint}", file=sys.stderr)
    except SettingsError as error:
        print(f"{service}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{service}: a secret cannot be read: {error}", file=sys.stderr)
    raise SystemExit(2)
