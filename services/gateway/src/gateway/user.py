"""Who is calling."""

from dataclasses import dataclass

from contracts.ids import UserId


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    priority: int
    """Of the jobs they ask for; higher runs first."""
