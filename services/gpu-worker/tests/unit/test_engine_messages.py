import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engine_channel import EngineChannel
from gpu_worker.engine_messages import (
    Done,
    Failed,
    MalformedLineError,
    Progressed,
    Ready,
    decode_message,
    decode_request,
    encode_message,
    encode_request,
)
from gpu_worker.engines.base import GenerationRequest, GenerationResult, Output

MESSAGES = [
    Ready(),
    Progressed(Stage.INFLATE, 0.25),
    Done(GenerationResult((), {})),
    Done(GenerationResult((Output("model.glb", "model", "model/gltf-binary", Path("/o/model.glb")),), {"vertices": 4})),
    Failed(FailureCode.NO_FOREGROUND, "nichts zu sehen – außer Nebel\n"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_messages_survive_the_journey(message):
    line = encode_message(message)
    assert line.count(b"\n") == 1
    assert decode_message(line) == message


@pytest.mark.parametrize("image", [None, Path("/inputs/photo.jpg")])
def test_requests_survive_the_journey(image):
    request = GenerationRequest({"steps": 3, "nested": {"a": [1, None]}}, "a chair\n", image, Path("/outputs"))
    assert decode_request(encode_request(request)) == request


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_raise_anything_but_malformed(line):
    with pytest.raises(MalformedLineError):
        decode_message(line)


@settings(deadline=None)
@given(st.sampled_from(["ready", "progress", "done", "failed", "?"]), st.dictionaries(st.text(), JSON), JSON, JSON)
def test_no_content_raises_anything_but_malformed(kind, content, first, second):
    fields = {"stage": first, "fraction": second, "outputs": first, "facts": second, "code": first, "message": second}
    with contextlib.suppress(MalformedLineError):
        decode_message(json.dumps(content | fields | {"type": kind}).encode())


@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_the_channel_does_not_care_how_lines_are_cut(chunk_bytes):
    received = []
    channel = EngineChannel(received.append, lambda: None)
    stream = b"garbage\n".join(encode_message(message) for message in MESSAGES)
    for start in range(0, len(stream), chunk_bytes):
        channel.data_received(stream[start : start + chunk_bytes])
    assert received == MESSAGES
