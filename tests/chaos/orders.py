"""What the clients of a run order: a realistic mix, drawn from the seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """One job a client wants, and what else they do about it."""

    key: str
    body: dict[str, Any]
    makes_model: bool
    cancel_after_seconds: float | None = None
    sent_twice_at_once: bool = False
    """Two POSTs with the same key at the same moment, one to each gateway."""
    sent_again_later: bool = False


def orders(seed: int, image: str) -> Iterator[Order]:
    """Orders without end. `image` is the object name of an uploaded picture."""
    draw = random.Random(seed)
    number = 0
    while True:
        number += 1
        body, makes_model, cancel_after = _job(draw, image)
        if cancel_after is None and draw.random() < 0.08:
            cancel_after = draw.uniform(0, 2.5)
        yield Order(
            key=f"chaos-{seed}-{number}",
            body=body,
            makes_model=makes_model,
            cancel_after_seconds=cancel_after,
            sent_twice_at_once=draw.random() < 0.05,
            sent_again_later=draw.random() < 0.05,
        )


def probe(name: str) -> Order:
    """A job that takes no time: when it has succeeded, everything on its way works again."""
    return Order(key=f"probe-{name}", body=_simulated(0, 64), makes_model=True)


def _job(draw: random.Random, image: str) -> tuple[dict[str, Any], bool, float | None]:
    """The body, whether success leaves a model, and when it is to be cancelled."""
    kind = draw.random()
    if kind < 0.02:
        return _silhouette(image), True, None
    if kind < 0.10:
        return _simulated(draw.uniform(0, 0.5), 0), False, None
    if kind < 0.18:
        outcome = draw.choice(("fail_retryable", "fail_fatal", "fail_fatal", "out_of_memory", "crash"))
        return _simulated(draw.uniform(0, 0.5), 0, outcome), False, None
    if kind < 0.19:
        # An engine that hangs ends by its deadline, or because its owner has had enough.
        body = _simulated(0, 0, "hang") | {"execution_timeout_seconds": 2.0}
        return body, False, draw.choice((None, 1.0))
    duration = draw.uniform(0.5, 3) if kind > 0.85 else draw.uniform(0, 0.3)
    return _simulated(duration, draw.choice((64, 1024, 4096, 65_536))), True, None


def _simulated(duration_seconds: float, output_bytes: int, outcome: str = "succeed") -> dict[str, Any]:
    params = {"duration_seconds": round(duration_seconds, 2), "steps": 3, "outcome": outcome}
    return {"model_id": "simulated-v1", "input_params": params | {"output_bytes": output_bytes}}


def _silhouette(image: str) -> dict[str, Any]:
    params = {"image_path": image, "texture_resolution": 256, "vertex_count": 500}
    return {"model_id": "silhouette-v1", "input_params": params}
