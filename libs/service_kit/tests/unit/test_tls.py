"""A service that speaks https by itself, and which settings for encrypted connections make sense together."""

import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme
from libs.service_kit.tests.unit.test_server import slow_service
from pydantic import SecretStr, ValidationError

from devstack.polling import until
from service_kit.errors import is_operational
from service_kit.settings import BusSettings, DatabaseSettings, ServiceSettings
from service_kit.tls import certificate_refusal, https_trusting


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    paths = {name: folder / f"{name}.pem" for name in ("ca", "foreign", "certificate", "key")}
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(paths["ca"]))
    trustme.CA().cert_pem.write_to_path(str(paths["foreign"]))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(paths["certificate"]))
    certificate.private_key_pem.write_to_path(str(paths["key"]))
    return paths


async def test_a_service_speaks_https_to_those_who_trust_its_authority_and_to_nobody_else(
    files: dict[str, Path],
) -> None:
    tls = {"TLS_CERTIFICATE_FILE": str(files["certificate"]), "TLS_KEY_FILE": str(files["key"])}
    async with slow_service(**tls) as service, aiohttp.ClientSession() as http:
        url = service.url.replace("http:", "https:") + "/health/live"
        assert await until(lambda: _answers(http, url, files["ca"]), timeout_seconds=15)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(url, ssl=https_trusting(files["foreign"]))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(url.replace("127.0.0.1", "localhost"), ssl=https_trusting(files["ca"]))
        with pytest.raises(aiohttp.ClientError):
            await http.get(service.url + "/health/live")  # in the clear


async def _answers(http: aiohttp.ClientSession, url: str, ca_file: Path) -> bool:
    try:
        async with http.get(url, ssl=https_trusting(ca_file)) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectorError:
        return False


# --- settings ---


def bus(url: str, **settings: Path) -> BusSettings:
    return BusSettings(rabbitmq_url=SecretStr(url), **settings)


def database(url: str, ca_file: Path | None = None) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(url), database_ca_file=ca_file)


def test_only_amqps_is_encrypted_and_it_always_verifies(files: dict[str, Path]) -> None:
    assert bus("amqp://host/").broker_tls() is None
    tls = bus("amqps://host/", rabbitmq_ca_file=files["ca"]).broker_tls()
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(tls.get_ca_certs()) == 1  # and not the system's besides


def test_a_client_can_prove_itself(files: dict[str, Path]) -> None:
    proof = {"rabbitmq_certificate_file": files["certificate"], "rabbitmq_key_file": files["key"]}
    assert bus("amqps://host/", **proof).broker_tls() is not None


@pytest.mark.parametrize(
    ("url", "given", "sentence"),
    [
        ("amqp://host/", ["rabbitmq_ca_file"], "write amqps://"),
        ("amqps://host/", ["rabbitmq_key_file"], "go together"),
        ("amqps://host/?no_verify_ssl=1", [], "RABBITMQ_URL says no_verify_ssl: certificates are always verified"),
        ("amqps://host/?cafile=/ca.pem", [], "set RABBITMQ_CA_FILE"),
    ],
)
def test_settings_of_the_bus_that_contradict_each_other_are_refused(
    files: dict[str, Path], url: str, given: list[str], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        bus(url, **dict.fromkeys(given, files["ca"]))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not point to a file"):
        bus("amqps://host/", rabbitmq_ca_file=Path("/nowhere.pem"))


def test_the_databases_url_says_whether_it_is_encrypted(files: dict[str, Path]) -> None:
    assert database("postgresql+asyncpg://u:p@h/d").database_tls() is None
    assert database("postgresql+asyncpg://u:p@h/d?sslmode=require").database_tls() == "require"
    verified = database("postgresql+asyncpg://u:p@h/d?sslmode=verify-full&x=1", files["ca"])
    tls = verified.database_tls()
    assert isinstance(tls, ssl.SSLContext)
    assert tls.check_hostname
    assert verified.database_address() == "postgresql+asyncpg://u:p@h/d?x=1"


@pytest.mark.parametrize(
    ("query", "sentence"), [("", "ends in .sslmode=verify-full"), ("?sslmode=verify-ca", "use verify-full, require")]
)
def test_an_authority_for_a_database_that_is_not_to_prove_itself_is_refused(
    files: dict[str, Path], query: str, sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        database(f"postgresql+asyncpg://u:p@h/d{query}", files["ca"])


def test_a_certificate_goes_with_its_key(files: dict[str, Path]) -> None:
    with pytest.raises(ValidationError, match="go together"):
        ServiceSettings(tls_certificate_file=files["certificate"])


# --- refusals ---


def test_why_a_certificate_was_refused_is_found_however_deep_it_lies() -> None:
    refusal = ssl.SSLCertVerificationError("expired")
    wrapped = ConnectionError("connection failed")
    wrapped.__cause__ = refusal
    assert certificate_refusal(wrapped) is refusal
    assert certificate_refusal(ConnectionError("connection failed")) is None


def test_a_certificate_that_expires_while_a_service_runs_is_an_outage_and_no_bug() -> None:
    assert is_operational(ssl.SSLCertVerificationError("expired"))
