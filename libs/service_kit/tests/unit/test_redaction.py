"""No secret leaves with a line, however it got into it; and what is none stays readable."""

import json
import traceback

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings

from service_kit.logging.redaction import REDACTED, Redaction, secrets_of

SECRET = 'Tr0ub4dor&3/+ü"x'

LEAKS = [
    f"amqp://worker:{'hunter2'}@rabbit:5672/p3d",
    "connecting to postgresql+asyncpg://p3d_gateway:hunter2@db:5432/p3d?sslmode=require failed",
    "http://s3/bucket/key?X-Amz-Credential=hunter2%2F20260101&X-Amz-Date=2026&X-Amz-Signature=hunter2",
    "GET /b?x-amz-security-token=hunter2&y=1",
    "http%3A%2F%2Fs3%2Fbucket%3FX-Amz-Signature%3Dhunter2",
    "headers: {'x-api-key': 'hunter2', 'accept': '*/*'}",
    '{"headers": {"X-API-Key": "hunter2"}}',
    "authorization: Bearer hunter2-hunter2",
    "Authorization: Basic hunter2==",
    "sent Bearer hunter2hunter2",
    "host=db user=me password=hunter2 dbname=x",
    "PGPASSWORD=hunter2",
    "MINIO_SECRET_KEY=hunter2",
    "aws_secret_access_key: hunter2",
    "ARTIFACTS_TOKEN='hunter2'",
    "Authorization: AWS4-HMAC-SHA256 Credential=hunter2/20260101/us-east-1/s3/aws4_request, Signature=hunter2",
    "Signature:\nhunter2",
]

HARMLESS = [
    'password authentication failed for user "p3d_gateway"',
    "connect to http://127.0.0.1:8000/api/v1/jobs: refused",
    "see https://example.com/a@b and mail me@example.com",
    "the tokenizer has 32000 tokens: 128 of them special",
    "bus.session.opened duration_ms=12",
    "ratio 3:1 at 10:15",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_somebody_elses_secret_is_known_by_its_surroundings(leak: str) -> None:
    redact = Redaction([])
    for line in (leak, json.dumps({"event": leak}), json.dumps({"nested": {"text": json.dumps(leak)}}), repr(leak)):
        assert "hunter2" in line
        assert "hunter2" not in redact(line)
        assert REDACTED in redact(line)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_secret_stays_as_it_is(line: str) -> None:
    assert Redaction(["a-secret-of-mine"])(line) == line


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f"it is {SECRET}!",
        json.dumps({"event": SECRET}),
        json.dumps({"event": SECRET}, ensure_ascii=False),
        json.dumps({"nested": [{"deep": f"a{SECRET}b"}]}),
        repr(SECRET),
        "amqp://me:Tr0ub4dor%263%2F%2B%C3%BC%22x@host",
    ],
)
def test_a_secret_of_this_process_is_known_in_every_form(line: str) -> None:
    redacted = Redaction([SECRET])(line)
    assert REDACTED in redacted
    assert "Tr0ub4dor" not in redacted


def test_a_line_of_json_is_one_afterwards() -> None:
    line = json.dumps({"event": LEAKS, "exception": {"stack": SECRET}, "url": f"http://me:{SECRET}@host/"})
    assert json.loads(Redaction([SECRET])(line))["exception"] == {"stack": REDACTED}


def test_a_traceback_is_redacted_like_anything_else() -> None:
    error = RuntimeError(f"cannot log in with {SECRET}")
    assert SECRET not in Redaction([SECRET])("".join(traceback.format_exception(error)))


def test_the_settings_name_their_own_secrets_and_a_url_may_be_told_but_for_its_password() -> None:
    class Settings(BaseSettings):
        broker: SecretStr = SecretStr("amqp://user:p%40ssword@host/vhost")
        token: SecretStr = SecretStr("0123456789abcdef")
        several: tuple[SecretStr, ...] = (SecretStr("one-secret"), SecretStr("two-secret"))
        unset: SecretStr | None = None
        port: int = 8000

    redact = Redaction(secrets_of(Settings()))
    assert redact("amqp://user:p%40ssword@host/vhost") == f"amqp://user:{REDACTED}@host/vhost"
    assert redact("p@ssword 0123456789abcdef one-secret two-secret 8000") == f"{' '.join([REDACTED] * 4)} 8000"


def test_a_secret_too_short_to_be_one_does_not_blacken_everything() -> None:
    assert Redaction(["a", "", "info"])("an info") == "an info"


def test_what_a_setting_says_openly_is_not_hidden_because_a_key_is_called_the_same() -> None:
    class Settings(BaseModel):
        bucket: str = "pipeline3d"
        access_key: SecretStr = SecretStr("pipeline3d")
        secret_key: SecretStr = SecretStr("really-a-secret")

    assert list(secrets_of(Settings())) == ["really-a-secret"]
