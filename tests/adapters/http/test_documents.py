"""The OpenAPI document, the metrics and the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import validator_for
from prometheus_client.parser import text_string_to_metric_families

from controller.records import Role
from tests.adapters.http.conftest import Site
from tests.fakes.control import an_alarm

REFERENCE = re.compile(r'"\$ref": "#/components/schemas/(\w+)"')


@pytest.fixture(scope="module")
def document(shared: Site) -> dict[str, object]:
    return shared.client().get("/api/openapi.json").json()  # type: ignore[no-any-return]


def operations(document: dict[str, object]) -> list[dict[str, object]]:
    paths = document["paths"]
    assert isinstance(paths, dict)
    return [operation for item in paths.values() for operation in item.values()]


def test_references_resolve(document: dict[str, object]) -> None:
    import json

    components = document["components"]
    assert isinstance(components, dict)
    used = set(REFERENCE.findall(json.dumps(document)))
    assert set() == used - set(components["schemas"])


def test_operation_ids_are_unique(document: dict[str, object]) -> None:
    ids = [o["operationId"] for o in operations(document)]

    assert sorted(set(ids)) == sorted(ids)  # type: ignore[type-var]


def test_every_operation_is_described_and_names_its_errors(document: dict[str, object]) -> None:
    for operation in operations(document):
        responses = operation["responses"]
        assert isinstance(responses, dict)
        assert operation["description"]
        assert "application/problem+json" in responses["default"]["content"]


def test_bodies_have_examples(document: dict[str, object]) -> None:
    components = document["components"]
    assert isinstance(components, dict)
    schemas = components["schemas"]
    for name in ("CircuitPatch", "EvsePatch", "TokenIn", "EvseOut", "CircuitOut", "SessionOut"):
        assert schemas[name]["examples"], name


def bodies(document: dict[str, object]) -> Iterator[str]:
    """Yield the schemas of what is asked and answered in JSON."""
    for operation in operations(document):
        answers: Any = operation["responses"]
        contents = [a.get("content", {}) for code, a in answers.items() if code != "default"]
        request: Any = operation.get("requestBody", {})
        for content in (*contents, request.get("content", {})):
            schema = content.get("application/json", {}).get("schema", {})
            for part in (schema, *schema.get("anyOf", ())):
                if "$ref" in part:
                    yield part["$ref"].rpartition("/")[2]


def test_every_body_has_an_example(document: dict[str, object]) -> None:
    schemas: Any = document["components"]["schemas"]  # type: ignore[index]

    assert {name for name in bodies(document) if not schemas[name].get("examples")} == set()


def test_examples_fit_their_schemas(document: dict[str, object]) -> None:
    schemas: Any = document["components"]["schemas"]  # type: ignore[index]
    whole = {"components": document["components"]}
    wrong = []
    for name, schema in schemas.items():
        known = validator_for({"$ref": f"#/components/schemas/{name}", **whole})
        for example in schema.get("examples", ()):
            wrong += [f"{name}: {e.message}" for e in known.iter_errors(example)]

    assert wrong == []


def test_the_contract_is_kept(document: dict[str, object]) -> None:
    paths = document["paths"]
    assert isinstance(paths, dict)
    for path in (
        "/api/v1/site",
        "/api/v1/circuits/{id}",
        "/api/v1/evses",
        "/api/v1/evses/{station}/{evse}",
        "/api/v1/evses/{station}/{evse}/why",
        "/api/v1/stations",
        "/api/v1/sessions",
        "/api/v1/sessions.csv",
        "/api/v1/stations/{id}",
        "/api/v1/sessions/{id}",
        "/api/v1/tokens",
        "/api/v1/tokens/{id}",
        "/api/v1/history",
        "/api/v1/events",
        "/api/v1/alarms",
        "/api/v1/audit",
        "/healthz",
        "/readyz",
        "/metrics",
    ):
        assert path in paths


@pytest.mark.parametrize("path", ["/", "/api/docs"])
def test_a_page_asks_nothing_of_other_hosts(shared: Site, path: str) -> None:
    text = shared.client().get(path).text

    addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text)
    assert {"http://www.w3.org"} >= set(addresses)
    assert "innerHTML" not in text


def test_the_page_runs_under_its_own_policy_only(shared: Site) -> None:
    policy = shared.client().get("/").headers["content-security-policy"]

    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_assets_are_open_kept_for_ever_and_compressed(shared: Site) -> None:
    client = shared.client()
    name = re.search(r"assets/index-[\w-]+\.js", client.get("/").text)
    assert name is not None

    answer = client.get(f"/{name[0]}")

    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
    again = client.get(f"/{name[0]}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2F..%2Fpage.py", "%2e%2e/index.html"])
def test_only_files_of_the_build_are_served(shared: Site, name: str) -> None:
    assert shared.client().get(f"/assets/{name}").status_code in {401, 404}


def test_metrics(site: Site) -> None:
    site.control.in_force = (an_alarm(), an_alarm(subject="garage-a"))
    site.control.figures["odd name!"] = 1.0
    site.control.figures["upload_spool_depth"] = 12.0
    site.control.figures["upload_sent"] = 5000.0

    text = site.client(Role.VIEWER).get("/metrics").text
    samples = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }

    assert samples["wattkeeper_circuit_limit_amperes", "l1", "main"] == 250.0
    assert samples["wattkeeper_circuit_measured_amperes", "l2", "main"] == 85.0
    assert samples["wattkeeper_circuit_committed_amperes", "l3", "main"] == 48.0
    assert samples["wattkeeper_circuit_headroom_amperes", "l1", "main"] == 162.0
    assert samples["wattkeeper_evse_setpoint_amperes", "CP001/1"] == 16.0
    assert samples["wattkeeper_evse_drawn_amperes", "CP001/1", "l1"] == 15.2
    assert samples["wattkeeper_alarms", "METER_LOST", "alarm"] == 2.0
    assert samples[("wattkeeper_cycles_total",)] == 7.0
    assert samples[("wattkeeper_spool_samples",)] == 12.0
    assert samples[("wattkeeper_upload_samples_total",)] == 5000.0
    assert samples[("wattkeeper_cycle_overruns_total",)] == 0.0
    assert samples[("wattkeeper_cycle_duration_seconds",)] == 0.0042
    assert 0.0 <= samples[("wattkeeper_cycle_age_seconds",)] < 5.0
    assert samples["wattkeeper_site_mode", "normal"] == 1.0
