"""Fixtures for tests that need real servers. They start once a run, only if a collected test needs them.

They start in the background as soon as the tests are collected, and tests that need none run first. Every process of a run
(pytest-xdist) gets a database, a virtual host and a bucket of its own.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from devstack.addresses import PostgresAddress, RabbitAddress, S3Address, ServerAddresses, ServerKind
from devstack.isolation import create_database, create_vhost, drop_database, drop_vhost, with_fresh_bucket
from devstack.test_run import TestRun, end_abandoned_runs

_FOLDER = "DEVSTACK_TEST_RUN"
_OWNER = "DEVSTACK_TEST_RUN_OWNER"
_PREFIX = "test-"
_KIND_OF = {
    "postgres_address": ServerKind.POSTGRES,
    "rabbitmq_address": ServerKind.RABBITMQ,
    "s3_address": ServerKind.S3,
}

_T = TypeVar("_T")


def pytest_configure(config: pytest.Config) -> None:
    if _is_worker(config):
        return
    state = config.rootpath / ".state"
    end_abandoned_runs(state, _PREFIX)
    # The processes xdist starts inherit these.
    os.environ[_FOLDER] = str(state / f"{_PREFIX}{os.getpid()}")
    os.environ[_OWNER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config) and _OWNER in os.environ:
        _run().end()
        del os.environ[_FOLDER], os.environ[_OWNER]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_needs(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    needed = {kind for item in session.items for kind in _needs(item)}
    if needed and not session.config.option.collectonly:
        _run().request(sorted(needed))


@pytest.fixture(scope="session")
def postgres_address() -> PostgresAddress:
    address = _address(ServerKind.POSTGRES)
    assert isinstance(address, PostgresAddress)
    return address


@pytest.fixture(scope="session")
def rabbitmq_address() -> RabbitAddress:
    address = _address(ServerKind.RABBITMQ)
    assert isinstance(address, RabbitAddress)
    return address


@pytest.fixture(scope="session")
def s3_address() -> S3Address:
    address = _address(ServerKind.S3)
    assert isinstance(address, S3Address)
    return address


@pytest.fixture(scope="session")
def servers(
    postgres_address: PostgresAddress, rabbitmq_address: RabbitAddress, s3_address: S3Address
) -> ServerAddresses:
    """All three, as every process of the run sees them; `devstack.isolated(servers)` gives a part of one's own."""
    return ServerAddresses(postgres=postgres_address, rabbitmq=rabbitmq_address, s3_store=s3_address)


@pytest.fixture(scope="session")
def postgres_url(postgres_address: PostgresAddress) -> Iterator[str]:
    """An empty database of this process's own, in which its role may do anything."""
    url = _await(create_database(postgres_address.admin_url))
    yield url
    _await(drop_database(url))


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq_address: RabbitAddress) -> Iterator[str]:
    """An empty virtual host of this process's own."""
    if rabbitmq_address.vhosts is None and "PYTEST_XDIST_WORKER" not in os.environ:
        yield rabbitmq_address.url
        return
    own = _await(create_vhost(rabbitmq_address))
    yield own.url
    _await(drop_vhost(own))


@pytest.fixture(scope="session")
def s3(s3_address: S3Address) -> S3Address:
    """The store, with the name of a bucket of this process's own, which does not exist yet."""
    return with_fresh_bucket(s3_address)


def _needs(item: pytest.Item) -> set[ServerKind]:
    return {_KIND_OF[name] for name in getattr(item, "fixturenames", ()) if name in _KIND_OF}


def _address(kind: ServerKind) -> object:
    run = _run()
    run.request([kind])
    return run.wait_for(kind)


def _run() -> TestRun:
    return TestRun(Path(os.environ[_FOLDER]), int(os.environ[_OWNER]))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _await(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs it in a thread with an event loop of its own, for the tests' loop belongs to pytest-asyncio."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
