"""What is made of a dead letter: read from its headers, and told to people and machines."""

import json
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from service_kit.dead_letters.letter import DeadLetter, message_again
from service_kit.dead_letters.letterbox import Contents
from service_kit.dead_letters.report import report_letters, report_list

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DEATH = {
    "reason": "delivery_limit",
    "queue": "orchestrator.requests",
    "exchange": "jobs",
    "routing-keys": ["job.requested"],
    "time": AT,
    "count": 1,
}


def delivered(headers: dict[str, Any], body: bytes = b"[]", message_id: str | None = "m-1") -> aio_pika.IncomingMessage:
    properties = Basic.Properties(headers=headers, message_id=message_id, message_type="t")
    header = ContentHeader(properties=properties, body_size=len(body))
    delivery = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="dead-letters", routing_key="q")
    return aio_pika.IncomingMessage(DeliveredMessage(delivery=delivery, header=header, body=body, channel=None))  # type: ignore[arg-type]  # none is needed to read it


def a_letter(**changes: Any) -> DeadLetter:
    said: dict[str, Any] = {
        "id": "m-1",
        "type": "t",
        "reason": "r",
        "detail": "d",
        "died_at": AT,
        "exchange": "jobs",
        "routing_key": "job.requested",
        "body": b"[]",
    }
    return DeadLetter(**(said | changes))


def shown(letter: DeadLetter) -> str:
    return report_letters("q", Contents([letter], 1)).text


def told(letter: DeadLetter) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(report_letters("q", Contents([letter], 1)).data))["letters"][0]
    return data


def test_a_letter_that_rabbitmq_made_has_its_reason_its_time_and_its_origin() -> None:
    letter = DeadLetter.read(delivered({"x-death": [DEATH]}))
    assert (letter.reason, letter.died_at) == ("delivery_limit", AT)
    assert (letter.exchange, letter.routing_key) == ("jobs", "job.requested")


def test_our_reason_is_nearer_than_rabbitmqs() -> None:
    ours = {"x-reason": "unknown_version", "x-died-at": AT.replace(hour=13).isoformat()}
    letter = DeadLetter.read(delivered({"x-death": [DEATH]} | ours))
    assert (letter.reason, letter.died_at) == ("unknown_version", AT.replace(hour=13))


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["reason", "time", "exchange", "routing-keys"]), inner)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["x-death", "x-reason", "x-detail", "x-died-at", "x-exchange", "x-routing-key"]), values
    ),
    st.binary(max_size=50),
)
def test_a_letter_can_be_shown_whatever_its_headers_and_its_body_are(headers: dict[str, Any], body: bytes) -> None:
    letter = DeadLetter.read(delivered(headers, body, message_id=None))
    assert letter.id in shown(letter)
    assert told(letter)["size_bytes"] == len(body)


def test_a_letter_without_an_id_is_named_by_its_content() -> None:
    one, same, other = (DeadLetter.read(delivered({}, body, message_id=None)).id for body in (b"1", b"1", b"2"))
    assert one == same != other


def test_nothing_of_a_death_is_left_on_a_message_that_is_sent_again() -> None:
    of_rabbitmq = {"x-death": [DEATH], "x-first-death-queue": "q", "x-last-death-reason": "r", "x-delivery-count": 51}
    message = message_again(delivered({"x-reason": "r", "x-detail": "d", "x-died-at": "", "theirs": 1} | of_rabbitmq))
    assert (message.headers, message.message_id, message.type) == ({"theirs": 1}, "m-1", "t")


def test_a_body_that_is_json_is_shown_line_by_line_in_its_own_letters() -> None:
    assert '"prompt": "ein grüner Käfer"' in shown(a_letter(body='[{"prompt": "ein gr\\u00fcner Käfer"}]'.encode()))


@pytest.mark.parametrize(
    ("body", "said", "data"),
    [
        (b"[1]", "[\n        1\n      ]", {"body": [1]}),
        (b"no json", "no json", {"text": "no json"}),
        (b"\xff\x00", "ff 00", {"base64": "/wA="}),
        (b"\xff" * 600, "and 88 bytes more", {"base64": "/" * 800}),
        (b"[" * 100_000, "[[[", {"text": "[" * 100_000}),
    ],
)
def test_any_body_is_shown_and_told(body: bytes, said: str, data: dict[str, Any]) -> None:
    letter = a_letter(body=body)
    assert said in shown(letter)
    assert data.items() <= told(letter).items()


def test_nothing_in_a_message_can_steer_the_terminal() -> None:
    evil = "\x1b[2J\r\u202e"
    letter = a_letter(id=evil, type=evil, reason=evil, detail=evil, exchange=evil, routing_key=evil, body=evil.encode())
    text = shown(letter) + report_list({evil: Contents([letter], 1)}).text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "\\x1b[2J" in text


def test_a_list_says_of_how_many_letters_the_reasons_are_known() -> None:
    text = report_list(
        {"q": Contents([a_letter(), a_letter(reason="s"), a_letter()], 5), "empty": Contents([], 0)}
    ).text
    assert "r 2, s 1 (of the first 3)" in text
    assert "empty" not in text
