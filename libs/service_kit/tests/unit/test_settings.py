import pytest

from service_kit.database import driver_url
from service_kit.environment import load_settings
from service_kit.settings import BusSettings, DatabaseSettings, ServiceSettings


class Settings(ServiceSettings, BusSettings, DatabaseSettings):
    pass


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://guest:hunter2@localhost/")
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://me:hunter2@localhost/x")
    monkeypatch.delenv("PORT", raising=False)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "8123")
    settings = load_settings(Settings, "test")
    assert settings.port == 8123


def test_an_empty_variable_is_an_unset_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "")
    assert load_settings(Settings, "test").port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "99999"),
        ("DATABASE_POOL_SIZE", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVELS", "aio_pika=LOUD"),
        ("LOG_LEVELS", "DEBUG"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG_EVERY_NTH", "-1"),
    ],
)
def test_an_unusable_setting_ends_the_process_with_a_sentence_that_names_it(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings, "test")
    assert caught.value.code == 2
    assert f"test: environment variable {name}:" in capsys.readouterr().err


def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.delenv("RABBITMQ_URL")
    with pytest.raises(SystemExit):
        load_settings(Settings, "test")
    assert "RABBITMQ_URL" in capsys.readouterr().err


def test_no_credential_is_in_the_printed_form_of_settings(environment: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in repr(load_settings(Settings, "test"))


def test_the_driver_gets_the_url_without_sqlalchemys_part() -> None:
    assert driver_url("postgresql+asyncpg://u:p@h:1/d?x=postgresql+asyncpg://") == (
        "postgresql://u:p@h:1/d?x=postgresql+asyncpg://"
    )
