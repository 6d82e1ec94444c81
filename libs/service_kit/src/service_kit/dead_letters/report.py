"""What the command says: sentences for people, JSON for machines. What messages contain cannot steer a terminal."""

import base64
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service_kit.dead_letters.letter import DeadLetter
from service_kit.dead_letters.letterbox import Contents

_SHOWN_BYTES = 512
"""Of a body that is no text."""
_NO_JSON = object()


@dataclass(frozen=True, slots=True)
class Report:
    text: str
    data: dict[str, Any]


def report_list(boxes: dict[str, Contents]) -> Report:
    """The queues that have dead letters, with their reasons as far as they were looked at."""
    full = {source: contents for source, contents in boxes.items() if contents.total}
    data = [
        {
            "queue": source,
            "letters": contents.total,
            "looked_at": len(contents.letters),
            "reasons": _reasons(contents),
        }
        for source, contents in full.items()
    ]
    width = max(map(len, full), default=0)
    lines = [
        f"{_plain(source):<{width}}  {contents.total:>7}  {_reasons_line(contents)}"
        for source, contents in full.items()
    ]
    head = f"{'QUEUE':<{width}}  LETTERS  REASONS"
    nothing = f"No dead letters ({_plain(', '.join(boxes)) or 'none of these queues is there yet'})."
    return Report("\n".join([head, *lines] if lines else [nothing]), {"queues": data})


def report_letters(source: str, contents: Contents) -> Report:
    """Each letter in full."""
    shown, total = len(contents.letters), contents.total
    more = f", the first {shown} of them" if shown < total else ""
    head = f"{_plain(source)}: {_counted(total)}{more}"
    texts = [_letter_text(number, letter) for number, letter in enumerate(contents.letters, 1)]
    data = [_letter_data(number, letter) for number, letter in enumerate(contents.letters, 1)]
    return Report("\n\n".join([head, *texts]), {"queue": source, "total": total, "letters": data})


def report_taken_out(source: str, done: str, count: int) -> Report:
    """`done` is what became of them: requeued, or discarded."""
    return Report(f"{_plain(source)}: {_counted(count)} {done}", {"queue": source, done: count})


def _counted(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _reasons(contents: Contents) -> dict[str, int]:
    return dict(Counter(letter.reason for letter in contents.letters).most_common())


def _reasons_line(contents: Contents) -> str:
    reasons = ", ".join(f"{_plain(reason)} {count}" for reason, count in _reasons(contents).items())
    looked_at = len(contents.letters)
    return reasons if looked_at == contents.total else f"{reasons} (of the first {looked_at})"


def _letter_text(number: int, letter: DeadLetter) -> str:
    died = "unknown" if letter.died_at is None else f"{letter.died_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    detail = f": {_plain(letter.detail)}" if letter.detail else ""
    fields = {
        "id": _plain(letter.id),
        "type": _plain(letter.type or "none"),
        "reason": _plain(letter.reason) + detail,
        "died": died,
        "from": f"exchange {_plain(letter.exchange or '(default)')}, routing key {_plain(letter.routing_key or '')}",
        "size": f"{len(letter.body)} bytes",
    }
    lines = [f"{name:<7} {value}" for name, value in fields.items()] + _body_text(letter.body).splitlines()
    return f"{number:>4}  " + "\n      ".join(lines)


def _body_text(body: bytes) -> str:
    if (value := _json(body)) is not _NO_JSON:
        return _plain(json.dumps(value, indent=2, ensure_ascii=False))
    try:
        return _plain(body.decode())
    except UnicodeDecodeError:
        rest = f" … and {len(body) - _SHOWN_BYTES} bytes more" if len(body) > _SHOWN_BYTES else ""
        return f"{body[:_SHOWN_BYTES].hex(' ')}{rest}"


def _letter_data(number: int, letter: DeadLetter) -> dict[str, Any]:
    """The body stands under `body` if it is JSON, under `text` if it is other text, else under `base64`."""
    data: dict[str, Any] = {
        "number": number,
        "id": letter.id,
        "type": letter.type,
        "reason": letter.reason,
        "detail": letter.detail,
        "died_at": None if letter.died_at is None else _iso(letter.died_at),
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "size_bytes": len(letter.body),
    }
    if (value := _json(letter.body)) is not _NO_JSON:
        return data | {"body": value}
    try:
        return data | {"text": letter.body.decode()}
    except UnicodeDecodeError:
        return data | {"base64": base64.b64encode(letter.body).decode()}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NO_JSON


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _plain(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
