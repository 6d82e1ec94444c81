"""`locked_requirements.py PACKAGE... < requirements.lock`: the part of the lock that these packages need, with its hashes.

uv notes below every pin who asked for it (`# via`). Read backwards that is the graph of dependencies, so that one lock serves
every image and none gets what only another needs. A note that lied could not go unnoticed: an installer that requires hashes
refuses whatever is asked for and not pinned.
"""

import re
import sys
from collections.abc import Iterable, Iterator

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==")
_ASKED_FOR_BY = re.compile(r"^    #   (?:via )?(?P<first>\S+)|^    # via (?P<only>\S+)")


def needed_by(packages: Iterable[str], lock: str) -> str:
    """The pins, as they stand in the lock, of everything the packages need. Names are normalised (PEP 503), as uv writes them."""
    pins = list(_pins(lock))
    needed = set(packages)
    while more := {name for name, _, asked_for_by in pins if name not in needed and asked_for_by & needed}:
        needed |= more
    return "".join(text for name, text, _ in pins if name in needed)


def _pins(lock: str) -> Iterator[tuple[str, str, set[str]]]:
    """Each pin: its name, its lines, and who asked for it. A package may be pinned once for each of several Python versions."""
    for text in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        if pin := _PIN.match(text):
            found = filter(None, map(_ASKED_FOR_BY.match, text.splitlines()))
            yield pin[1], text, {match["first"] or match["only"] for match in found}


if __name__ == "__main__":
    sys.stdout.write(needed_by(sys.argv[1:], sys.stdin.read()))
