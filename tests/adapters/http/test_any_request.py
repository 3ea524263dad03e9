"""Whatever the document allows, and much that it does not: no request meets a defect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from adapters.config.loader import SiteFile, load_site_text
from adapters.hotconfig import SiteConfiguration
from adapters.http.app import create_api
from adapters.store.sqlite_store import SqliteStore
from controller.alarms import AlarmBook
from controller.cycle import CycleStats
from controller.records import Role
from controller.site import Site
from tests.adapters.http.conftest import Desk, FakeClock, Rig

TEXT = """format: site/1
site: {id: any, name: Any, timezone: UTC}
circuits: {main: {limit_a: 63, device: mccb}}
stations: {CP001: {circuit: main, evses: {1: {max_a: 32}}}}
"""
APART = r"^/(api/v1/events|readyz)$"
"""A stream without an end, and the one that answers 503 because no cycle runs here."""


class NothingRuns:
    """Stands for the controller: takes every site at once."""

    stats = CycleStats()

    async def apply(self, file: SiteFile) -> None:
        self.stats.cycles += 3

    def in_use(self, site: Site) -> tuple[str, ...]:
        return ()

    def warnings(self, site: Site) -> tuple[str, ...]:
        return ()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("any")
    rig, clock = Rig(), FakeClock()
    store = SqliteStore.open(folder / "w.db", conditions=AlarmBook(), clock=clock)
    path = folder / "site.yaml"
    path.write_text(TEXT)
    configuration = SiteConfiguration(
        load_site_text(TEXT, path),
        load=lambda text: load_site_text(text, path),
        host=NothingRuns(),
        store=store,
        conditions=AlarmBook(),
        clock=clock,
    )
    rig.main.run(configuration.begin())
    started = rig.start(store=store, configuration=configuration)
    yield Desk(started, store, rig.main)
    started.server.stop()
    rig.main.run(configuration.close())
    rig.main.run(store.close())
    rig.close()


@pytest.fixture(scope="module")
def token(desk: Desk) -> str:
    return desk.add("root", Role.ADMIN)


def document(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(desk.client().get("/api/openapi.json").content)
    return found


OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_dict(create_api(cast("Any", None)).openapi())
    .exclude(path_regex=APART)
    .get_all_operations()
]
DEFECTS = {500, 502, 504}
"""503 is no defect: it says which part does not run here, and the problem says so."""
QUICK = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(QUICK, max_examples=300, derandomize=False)


def ask(case: Any, desk: Desk, token: str) -> int:
    """Send a request and check the answer; return its status."""
    answer = case.call(
        base_url=desk.site.url, headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    status: int = answer.status_code
    if status == 200:
        case.validate_response(
            answer, checks=[response_schema_conformance, content_type_conformance]
        )
    elif status >= 400:
        problem = answer.json()
        assert (problem["status"], bool(problem["mend"])) == (status, True)
    return status


def search(operation: Any, how: settings, desk: Desk, token: str) -> set[int]:
    """Send as many requests as the settings say; return the statuses of the answers."""
    seen: set[int] = set()

    @how
    @given(case=operation.as_strategy())
    def each(case: Any) -> None:
        seen.add(ask(case, desk, token))

    each()
    return seen


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_no_request_meets_a_defect(operation: Any, desk: Desk, token: str) -> None:
    assert search(operation, QUICK, desk, token).isdisjoint(DEFECTS)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
def test_no_request_meets_a_defect_in_a_long_search(operation: Any, desk: Desk, token: str) -> None:
    assert search(operation, THOROUGH, desk, token).isdisjoint(DEFECTS)


def test_every_operation_has_a_stable_name_an_example_and_problems(desk: Desk) -> None:
    operations = {
        (method, path): operation
        for path, item in document(desk)["paths"].items()
        for method, operation in item.items()
    }
    names = [o["operationId"] for o in operations.values()]

    assert len(set(names)) == len(names)
    assert [n for n in names if not n.isidentifier() or "api_v1" in n] == []
    assert all("default" in o["responses"] for o in operations.values())
    assert [key for key, o in operations.items() if not o.get("description")] == []
