"""What is to fail: decided by a seed, and kept for whoever must understand a failure."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from random import Random

_SITE_IS_ACTIVE = 0.75
_LONGEST_DELAY_SECONDS = 0.05


class Fault(StrEnum):
    BEFORE = "failed before its effect"
    AFTER = "failed after its effect"
    """Applied, but the caller is told that it failed."""
    TWICE = "happened twice"
    DELAY = "came late"
    LOSS = "was promised and then lost"
    """As when a broker is reset to empty."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done to the `call`-th call at a site."""

    site: str
    call: int
    fault: Fault | None
    delay_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.site}: call {self.call} {self.fault or 'is left alone'}"


class FaultPlan:
    """Decides for every call, from nothing but the seed, the site's name and how many calls the site has had.

    So what runs at the same time elsewhere does not change a site's fate, and a seed may be run again. As in FoundationDB's
    BUGGIFY a site is active in some runs and left alone in others: a seed makes a mix of its own, and may hit one site hard
    that in another never fails. `rate` is the share of an active site's calls that meet a fault.
    """

    def __init__(self, seed: int, *, rate: float = 0.2) -> None:
        self.seed = seed
        self._rate = rate
        self._calls: Counter[str] = Counter()
        self._injected: list[Decision] = []
        self._is_on = False

    def decide(self, site: str, *possible: Fault) -> Decision:
        """What is to be done to this call; each of the `possible` faults is as likely as the others."""
        self._calls[site] += 1
        decision = self._drawn(site, self._calls[site], possible)
        if decision.fault is not None:
            self._injected.append(decision)
        return decision

    def begin(self) -> None:
        """From here on calls fail. Before that, what is under test can start."""
        self._is_on = True

    def end(self) -> None:
        """From here on nothing fails any more."""
        self._is_on = False

    @property
    def injected(self) -> tuple[Decision, ...]:
        """The faults so far, in the order in which they were made."""
        return tuple(self._injected)

    def __str__(self) -> str:
        """For the message of a test that fails: the seed, and what it did."""
        done = "\n".join(f"  {decision}" for decision in self._injected) or "  nothing failed"
        return f"seed {self.seed}:\n{done}"

    def _drawn(self, site: str, call: int, possible: tuple[Fault, ...]) -> Decision:
        is_active = Random(f"{self.seed}/{site}").random() < _SITE_IS_ACTIVE  # noqa: S311  # chance, not a secret
        draw = Random(f"{self.seed}/{site}/{call}")  # noqa: S311  # as above
        if not self._is_on or not is_active or draw.random() >= self._rate:
            return Decision(site, call, None)
        return Decision(site, call, draw.choice(possible), draw.uniform(0, _LONGEST_DELAY_SECONDS))
