"""Any setting may lie in a file of its name; the environment wins over it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from service_kit.environment import load_settings
from service_kit.settings import BusSettings, DatabaseSettings, ServiceSettings

Write = Callable[..., None]


class Settings(ServiceSettings, BusSettings, DatabaseSettings):
    pass


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a file into the folder that SECRETS_DIR names."""
    for name in ("RABBITMQ_URL", "DATABASE_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))

    def write(name: str, content: str) -> None:
        (tmp_path / name).write_text(content)

    write("rabbitmq_url", "amqp://me:from-a-file@localhost/\n")
    write("database_url", "postgresql+asyncpg://me:from-a-file@localhost/x\n")
    return write


def test_a_setting_is_read_from_a_file_of_its_name_without_the_line_end(secret: Write) -> None:
    secret("port", "8123\n")
    settings = load_settings(Settings, "test")
    assert settings.port == 8123
    assert settings.rabbitmq_url.get_secret_value() == "amqp://me:from-a-file@localhost/"


def test_the_environment_wins_unless_it_is_empty(secret: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    secret("port", "8123")
    monkeypatch.setenv("PORT", "8124")
    assert load_settings(Settings, "test").port == 8124
    monkeypatch.setenv("PORT", "")
    assert load_settings(Settings, "test").port == 8123


def test_a_file_that_links_within_the_folder_is_read_as_kubernetes_has_it(secret: Write, tmp_path: Path) -> None:
    (tmp_path / "..2026_11_22").mkdir()
    (tmp_path / "..2026_11_22" / "port").write_text("8123")
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / "port").symlink_to("..data/port")
    assert load_settings(Settings, "test").port == 8123


def test_a_folder_that_is_not_there_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRETS_DIR", "/nowhere")
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings, "test")
    assert caught.value.code == 2
    assert "test: SECRETS_DIR is /nowhere, which is no folder" in capsys.readouterr().err


def test_without_a_named_folder_it_is_the_one_of_containers_if_there_is_one(
    secret: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRETS_DIR")
    monkeypatch.setattr("service_kit.environment.CONTAINERS_SECRETS", tmp_path)
    assert "from-a-file" in load_settings(Settings, "test").broker_url()
    monkeypatch.setattr("service_kit.environment.CONTAINERS_SECRETS", tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        load_settings(Settings, "test")


def test_a_value_in_a_file_that_is_of_no_use_is_named_and_not_shown(
    secret: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    secret("port", "hunter2")
    with pytest.raises(SystemExit):
        load_settings(Settings, "test")
    said = capsys.readouterr().err
    assert "PORT" in said
    assert "hunter2" not in said


def test_a_missing_setting_is_named_with_both_ways_to_set_it(
    secret: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rabbitmq_url").unlink()
    with pytest.raises(SystemExit):
        load_settings(Settings, "test")
    assert "RABBITMQ_URL: Field required; a file rabbitmq_url in SECRETS_DIR does as well" in capsys.readouterr().err


@pytest.mark.parametrize("password", ["plain", "a/b@c:d?e#f%g é"])
def test_a_password_of_its_own_gets_into_the_url_whatever_is_in_it(secret: Write, password: str) -> None:
    secret("rabbitmq_url", "amqp://me@host:1/v")
    secret("rabbitmq_password", password)
    secret("database_url", "postgresql+asyncpg://me@host/x")
    secret("database_password", password)
    settings = load_settings(Settings, "test")
    for url in (settings.broker_url(), settings.database_address()):
        assert _parts(url) == ("me", password, "host")
    assert password not in repr(settings)


@pytest.mark.parametrize("url", ["amqp://me:already@host/", "amqp://host/"])
def test_a_password_besides_one_in_the_url_or_for_nobody_is_refused(
    secret: Write, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    secret("rabbitmq_url", url)
    secret("rabbitmq_password", "hunter2")
    with pytest.raises(SystemExit):
        load_settings(Settings, "test")
    said = capsys.readouterr().err
    assert "RABBITMQ_URL must name the user and no password" in said
    assert "hunter2" not in said
    assert "already" not in said


def test_no_form_of_the_settings_shows_a_secret() -> None:
    settings = BusSettings(rabbitmq_url=SecretStr("amqp://me@host/"), rabbitmq_password=SecretStr("hunter2"))
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


def _parts(url: str) -> tuple[str | None, str | None, str | None]:
    from yarl import URL

    parts = URL(url)
    return parts.user, parts.password, parts.host
