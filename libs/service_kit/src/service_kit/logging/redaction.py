"""The last defence: whatever slipped into a line, no secret leaves with it.

Lines are looked at as a whole and when they are finished, so that nothing slips by in a nested value, a traceback or another
library's text. The first defence is at each call: a secret is not logged.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

REDACTED = "[redacted]"

_SHORTEST = 6
"""What is shorter is no secret, and would be found in half of all lines."""

_GAP = r"(?:\\*+[\"']|\\++n|\x1b\[[0-9;]*m|\s)*"
"""Between a name and its value: quotes and line ends, escaped where a text lies within JSON, and a terminal's colours."""
_NAMED = {
    "api-key": r"api-key",
    "api_key": r"api_key",
    "apikey": r"apikey",
    "authorization": r"authorization",
    "passw": r"passw(?:or)?d",
    "secret": r"secret(?:[_-]?key)?",
    "access": r"access[_-]?key(?:[_-]?id)?",
    "token": r"token",
    "credential": r"credential",
    "signature": r"signature",
}
_VALUE = r"(?!\[redacted\])(?:(?:bearer|basic)\s+)?[^\s\"'\\,;&}\])\x1b]+"

_PATTERNS = (
    ("://", r"(://[^\s:/@\"'\\]*:)[^\s/@\"'\\]+(?=@)"),
    ("x-amz-", r"(x-amz-(?:signature|credential|security-token)(?:=|%3d))[^&\s\"'\\<>]+"),
    *((marker, rf"({name}{_GAP}[:=]{_GAP}){_VALUE}") for marker, name in _NAMED.items()),
    ("bearer", r"(\bbearer\s+)[a-z0-9._~+/=-]{8,}"),
)
"""What a finished line must contain, in lower case, before the expression is worth trying."""
_COMPILED = tuple((marker, re.compile(pattern, re.IGNORECASE)) for marker, pattern in _PATTERNS)


class Redaction:
    """Removes the secrets this process knows, in whatever form, and what looks like somebody else's: credentials in URLs,
    signatures of presigned URLs, API keys, passwords, tokens."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        # The longest first: of a secret that is part of another, nothing must be left over.
        self._secrets = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, REDACTED)
        lowered = line.lower()
        for marker, pattern in _COMPILED:
            if marker in lowered:
                line = pattern.sub(rf"\1{REDACTED}", line)
        return line


def secrets_of(settings: BaseModel) -> Iterator[str]:
    """What every `SecretStr` of the settings hides, unless another setting says it openly: an access key named like the bucket
    would have the bucket's name removed from every line, and tell by it what it is."""
    values = [getattr(settings, name) for name in type(settings).model_fields]
    told = {value for value in values if isinstance(value, str)}
    for value in values:
        for item in value if isinstance(value, tuple | list | set | frozenset) else (value,):
            if isinstance(item, SecretStr) and item.get_secret_value() not in told:
                yield part_to_hide(item.get_secret_value())


def part_to_hide(secret: str) -> str:
    """Of a URL its password, since its address may well be told; else all of it."""
    try:
        password = urlsplit(secret).password if "://" in secret else secret
    except ValueError:
        return secret
    return password or ""


def _forms(secret: str) -> Iterator[str]:
    """As it is, decoded and encoded for a URL, and as Python and JSON write it, JSON within JSON too."""
    for form in (secret, unquote(secret), quote(secret, safe="")):
        yield form
        yield repr(form)[1:-1]
        for plain in (False, True):
            once = json.dumps(form, ensure_ascii=plain)[1:-1]
            yield once
            yield json.dumps(once, ensure_ascii=plain)[1:-1]
