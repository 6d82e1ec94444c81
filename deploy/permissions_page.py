"""Who may do what on the bus, as a page: one section per user, from the same source as RabbitMQ's definitions."""

from collections.abc import Iterable, Iterator

from contracts.permissions import DEFAULT_EXCHANGE, BusUser, Grants, grants_of
from contracts.topology import Exchange


def permissions_page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# Permissions on the bus",
        "",
        "Generated from `libs/contracts`; `make specs` writes it anew. `python -m service_kit.broker_definitions` prints the",
        "same for RabbitMQ. What is not named here is refused: every user tries everything in",
        "`libs/service_kit/tests/integration/test_broker_permissions.py`. `{…}` is any word or words without a wildcard. To ask",
        "whether a queue is there, and how many messages wait in it, takes no permission.",
        "",
        "| user | makes and deletes | reads | publishes | may bind its queues to |",
        "|---|---|---|---|---|",
    )
    for grants in map(grants_of, BusUser):
        yield f"| {' | '.join(_cells(grants))} |"
    yield from ("", "## As RabbitMQ has it", "")
    for grants in map(grants_of, BusUser):
        yield from _patterns(grants)


def _cells(grants: Grants) -> Iterator[str]:
    publishes = [f"`{exchange}`: `{key}`" for exchange, key in grants.publishes]
    if grants.publishes_to_any_queue:
        publishes.append(f"`{DEFAULT_EXCHANGE}`: any queue, which is what sending a dead letter back takes")
    reads = ["`{queue}.dead-letters`"] if grants.reads_dead_letters else _quoted(grants.consumes)
    tags = f"<br>sees the management interface ({', '.join(grants.user.tags)})" if grants.user.tags else ""
    yield f"`{grants.user.username}`{tags}"
    yield _cell(_quoted(grants.declares))
    yield _cell(reads)
    yield _cell(publishes)
    yield _cell(f"`{exchange}`: `{key}`" for exchange, key in dict.fromkeys(grants.binds))


def _patterns(grants: Grants) -> Iterator[str]:
    yield from (f"### `{grants.user.username}`", "", "```")
    yield from (f"configure  {grants.configure}", f"write      {grants.write}", f"read       {grants.read}")
    for exchange in Exchange:
        yield f"{exchange}: write {grants.topic_write(exchange)}"
        yield f"{exchange}: read  {grants.topic_read(exchange)}"
    yield from ("```", "")


def _quoted(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in names]


def _cell(lines: Iterable[str]) -> str:
    return "<br>".join(lines) or "–"
