"""The dashboards' queries on a real InfluxDB, filled with what the controller writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.influx.line import format_line
from controller import series
from controller.decision import Alarm, Condition, Plan, Severity
from controller.phases import PhaseCurrents
from controller.readings import GridReading
from controller.records import Sample
from controller.site import EvseId, MeterId, StationId
from controller.transaction import Transaction, TransactionId
from tests.adapters.influx.real_servers import InfluxDb1
from tests.controller.builders import Bench, a_site

pytestmark = pytest.mark.services
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def samples(now: datetime) -> Iterator[Sample]:
    """Yield what a site writes in the two minutes before an instant: some panels ask for no more."""
    bench = Bench(site=a_site()).plug_in()
    for second in range(0, 120, 10):
        at = now - timedelta(seconds=130 - second)
        yield series.of_meter(MeterId("main"), reading(second), at)
        plan = charging(bench.run(10.0).plan)
        for sample in (
            *series.of_circuits(plan),
            *series.of_evses(plan),
            series.of_allocation(plan, solver_ms=3.0),
        ):
            yield Sample(
                measurement=sample.measurement, tags=sample.tags, fields=sample.fields, at=at
            )
    condition = Condition(code="X", subject="main", text="a text", severity=Severity.ALARM)
    yield series.of_alarm(Alarm(condition=condition, begin=now - timedelta(seconds=60)))
    yield series.of_session(
        Transaction(
            id=TransactionId("7"),
            station=StationId("CP001"),
            evse=EvseId("CP001/1"),
            started_at=now - timedelta(hours=1),
            ended_at=now - timedelta(minutes=1),
            id_token=None,
            start_wh=0.0,
            last_wh=5000.0,
        )
    )


def charging(plan: Plan) -> Plan:
    """Let every station tell all it can."""
    evses = {
        name: replace(
            evse,
            drawn_a=PhaseCurrents.balanced(9.0),
            power_w=6210.0,
            energy_wh=1500.0,
            soc_percent=55.0,
        )
        for name, evse in plan.evses.items()
    }
    return replace(plan, evses=evses)


def reading(second: int) -> GridReading:
    return GridReading(
        current=PhaseCurrents(l1_a=10.0 + second, l2_a=11.0, l3_a=12.0),
        voltage_v=(230.0, 231.0, 232.0),
        power_w=(2300.0, 2400.0, 2500.0),
        power_total_w=7200.0,
        frequency_hz=50.0,
        power_factor=0.98,
        energy_import_wh=1e6 + second,
        energy_export_wh=1e3 + second,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDb1]:
    server = InfluxDb1(tmp_path_factory.mktemp("influx"))
    server.start()
    try:
        server.create_database()
        written = samples(datetime.now(UTC).replace(microsecond=0))
        lines = "\n".join(format_line(sample, "depot") for sample in written)
        server.get("/write?db=depot&precision=ms", lines.encode())
        yield server
    finally:
        server.stop()


def queries(path: Path) -> list[tuple[str, str]]:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    found = [
        (panel["title"], target["query"])
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    variables = [(v["name"], v["query"]) for v in dashboard["templating"]["list"]]
    return [*found, *variables]


def as_grafana_asks(query: str) -> str:
    values = {
        "timeFilter": "time > now() - 1h",
        "__interval": "10s",
        "site": "depot",
        "meter": "main",
        "circuit": "main",
        "cp": ".*",
    }
    for name, value in values.items():
        query = re.sub(rf"\${name}\b", value, query)
    assert "$" not in query.replace("$/", ""), query
    return query


def values(answer: dict[str, Any]) -> list[Any]:
    """Return what is not null among the columns beside the time."""
    return [
        value
        for series in answer.get("series", ())
        for row in series["values"]
        for value in row[1:]
        if value is not None
    ]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_is_answered_with_values(path: Path, server: InfluxDb1) -> None:
    empty = []
    for title, query in queries(path):
        answer: dict[str, Any] = server.query(as_grafana_asks(query))
        assert "error" not in answer, (title, answer)
        if not values(answer):
            empty.append(f"{title}: {query}")
    assert empty == []


def test_every_field_that_is_asked_for_is_documented() -> None:
    documented = (DEPLOY.parent / "docs" / "timeseries.md").read_text(encoding="utf-8")
    text = re.sub(r"_l1\.\.3", "_l1 _l2 _l3", documented)
    names = set()
    for path in DASHBOARDS:
        for _, query in queries(path):
            names |= set(re.findall(r'(?:last|max|min|mean|sum|count|spread)\("(\w+)"\)', query))
    computed = {"h", "r"}
    missing = [n for n in names - computed if not re.search(rf"\b{n}\b", expanded(text))]
    assert missing == []


def expanded(text: str) -> str:
    """Write `limit_l1..3` out."""
    return re.sub(r"\b(\w+)_l1 _l2 _l3", r"\1_l1 \1_l2 \1_l3", text)


def test_continuous_query_is_accepted_and_fills(server: InfluxDb1) -> None:
    setup = (DEPLOY / "influxdb" / "v1" / "setup.iql").read_text(encoding="utf-8")
    for statement in setup.strip().splitlines():
        assert "error" not in server.query(statement, data=b"")
    found = server.query("SHOW CONTINUOUS QUERIES")
    names = [row[0] for s in found["series"] for row in s.get("values", [])]
    assert names == ["quarters"]


def test_dashboards_are_whole() -> None:
    assert len(DASHBOARDS) == 5
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert dashboard["uid"] == path.stem
        assert len(ids) == len(set(ids))
        assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"wattkeeper"}
