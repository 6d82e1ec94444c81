"""The wire format of each message and version, fixed in `golden/`: what another release, or another language, will meet.

A changed golden file is a changed contract. A field that is removed or changes its meaning is a new `version` and a new file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from libs.contracts.tests.unit.examples import EXAMPLES, envelope

from contracts import attempts, jobs, workers
from contracts.cloudevents import UndecodableMessageError, codec
from contracts.message import Message

GOLDEN = Path(__file__).parent / "golden"
MODULES = {module.__name__ for module in (attempts, jobs, workers)}


def golden_file(message_type: type[Message]) -> Path:
    return GOLDEN / f"{message_type.routing_key}.v{message_type.version}.json"


def golden(message_type: type[Message]) -> Any:
    return json.loads(golden_file(message_type).read_text())


def every_message(base: type[Message] = Message) -> Iterator[type[Message]]:
    for subclass in base.__subclasses__():
        # CloudEvent[…] makes no subclasses of messages, but a test elsewhere may.
        if "routing_key" in vars(subclass) and subclass.__module__ in MODULES:
            yield subclass
        yield from every_message(subclass)


examples = pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.routing_key)


def test_every_message_has_an_example() -> None:
    assert {type(message) for message in EXAMPLES} == set(every_message())


def test_no_two_messages_share_a_name_on_the_wire() -> None:
    types = [message_type.event_type() for message_type in every_message()]
    assert len(types) == len(set(types))


@examples
def test_a_message_is_written_as_the_golden_payload(message: Message) -> None:
    assert json.loads(codec(type(message)).encode([envelope(message)])) == golden(type(message))


@examples
def test_the_golden_payload_is_read_as_the_message(message: Message) -> None:
    assert codec(type(message)).decode(golden_file(type(message)).read_bytes()) == [envelope(message)]


@examples
def test_fields_of_a_later_release_are_ignored(message: Message) -> None:
    def grown(value: Any) -> Any:
        match value:
            case dict():
                return {key: grown(item) for key, item in value.items()} | {"from_the_future": [1, {"a": None}]}
            case list():
                return [grown(item) for item in value]
            case _:
                return value

    free = ("input_params", "stage_durations_ms", "facts")  # what is in these is content, not a field

    def put_back(old: Any, new: Any) -> None:
        for key in old:
            if key in free:
                new[key] = old[key]
            elif isinstance(old[key], dict):
                put_back(old[key], new[key])

    (event,) = golden(type(message))
    (later,) = grown([event])
    put_back(event, later)
    assert later != event
    assert codec(type(message)).decode(json.dumps([later]).encode()) == [envelope(message)]


@examples
def test_another_version_is_told_from_a_broken_payload(message: Message) -> None:
    (event,) = golden(type(message))
    other = event | {"type": f"pipeline3d.{message.routing_key}.v{message.version + 1}", "data": {"new": "shape"}}
    with pytest.raises(UndecodableMessageError) as caught:
        codec(type(message)).decode(json.dumps([other]).encode())
    assert caught.value.reason == "unknown_version"


@examples
def test_a_required_field_that_is_missing_is_named(message: Message) -> None:
    (event,) = golden(type(message))
    required = [name for name, field in type(message).model_fields.items() if field.is_required()]
    for name in required:
        broken = event | {"data": {key: value for key, value in event["data"].items() if key != name}}
        with pytest.raises(UndecodableMessageError, match=name) as caught:
            codec(type(message)).decode(json.dumps([broken]).encode())
        assert caught.value.reason == "invalid_payload"


def test_no_golden_file_is_left_without_a_message() -> None:
    """A version that nobody writes any more is still read until its file is deleted on purpose."""
    assert {file.name for file in GOLDEN.iterdir()} == {golden_file(type(message)).name for message in EXAMPLES}
