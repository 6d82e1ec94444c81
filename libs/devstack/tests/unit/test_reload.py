from pathlib import Path

from devstack.reload import services_of
from devstack.services import Service

SOURCES = {Path("/p/services/gateway/src"): Service.GATEWAY, Path("/p/services/artifacts/src"): Service.ARTIFACTS}


def test_a_change_in_one_service_concerns_only_that_service() -> None:
    assert services_of([Path("/p/services/gateway/src/gateway/app.py")], SOURCES) == [Service.GATEWAY]


def test_a_change_in_a_library_concerns_every_service() -> None:
    changed = [Path("/p/services/gateway/src/gateway/app.py"), Path("/p/libs/contracts/src/contracts/jobs.py")]
    assert services_of(changed, SOURCES) == list(Service)
