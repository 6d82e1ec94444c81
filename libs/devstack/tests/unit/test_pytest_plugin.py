from types import SimpleNamespace
from typing import Any

import pytest

from devstack.pytest_plugin import pytest_collection_modifyitems

pytest_plugins = ["pytester"]


def test_tests_that_need_no_server_start_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_pure(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / ".state").exists()


def test_tests_that_need_no_server_run_first_and_else_in_their_order() -> None:
    items: list[Any] = [
        SimpleNamespace(name="a", fixturenames=["postgres_url", "postgres_address"]),
        SimpleNamespace(name="b", fixturenames=["tmp_path"]),
        SimpleNamespace(name="c", fixturenames=["s3_address"]),
        SimpleNamespace(name="d", fixturenames=[]),
    ]
    pytest_collection_modifyitems(items)
    assert [item.name for item in items] == ["b", "d", "a", "c"]
