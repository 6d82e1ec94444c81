"""Nobody who does not trace pays for it."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from service_kit.asgi import service_app
from service_kit.bus import Bus
from service_kit.tracing import is_recording, open_tracing

with open_tracing("service-kit"):
    heavy = ("opentelemetry.sdk", "opentelemetry.proto", "google.protobuf")
    print(is_recording(), sorted(name for name in sys.modules if name.startswith(heavy)))
"""
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        COLLECTOR | {"OTEL_SDK_DISABLED": "true"},
        COLLECTOR | {"OTEL_TRACES_EXPORTER": "none"},
        COLLECTOR | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "not a URL"},
    ],
    ids=["no collector", "disabled", "no exporter", "a protocol we do not speak", "an unusable endpoint"],
)
def test_the_sdk_is_not_even_imported(environment: dict[str, str]) -> None:
    assert _said({**environment}).splitlines()[-1] == "False []"


def test_with_a_collector_it_is_on() -> None:
    assert _said(COLLECTOR).startswith("True ['google.protobuf")


def test_an_unusable_setting_is_named_and_its_value_is_not_shown() -> None:
    said = _said({"OTEL_EXPORTER_OTLP_ENDPOINT": "hunter2"})
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said
    assert "hunter2" not in said


def _said(environment: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=clean | environment, capture_output=True, text=True, check=True
    ).stdout
