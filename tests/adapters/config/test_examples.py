"""The examples: each loads, tells its story, stays on this machine and disturbs no other."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.config.loader import load_site_file
from tests.adapters.config.files import EXAMPLES

FILES = sorted(EXAMPLES.glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def example(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_it_loads_and_its_certificate_holds(example: Path) -> None:
    assert load_site_file(example).certificate.holds


def test_it_starts_with_its_story(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()

    story = lines[: lines.index("format: site/1")]
    assert len(story) >= 4
    assert all(line.startswith("#") for line in story)


def test_it_stays_on_this_machine(example: Path) -> None:
    site_file = load_site_file(example)

    hosts = [urlsplit(meter.connection).hostname for meter in site_file.site.meters.values()]
    hosts += [site_file.ocpp.listen.host, site_file.http.listen.host]
    assert set(hosts) == {"127.0.0.1"}


def test_vehicles_there_have_something_to_share(example: Path) -> None:
    """A site where every EVSE could run at its rating would show nothing."""
    site = load_site_file(example).site

    ratings_a = sum(evse.max_a for evse in site.evses())
    root = next(circuit for circuit in site.circuits.values() if circuit.parent is None)
    assert ratings_a > max(root.limit_a) - max(root.building_peak_a)


def test_no_two_examples_share_a_port_or_a_database() -> None:
    used: list[str] = []
    for file in FILES:
        site_file = load_site_file(file)
        meters = {urlsplit(m.connection).netloc for m in site_file.site.meters.values()}
        used += [str(site_file.ocpp.listen), str(site_file.http.listen), *sorted(meters)]
        used.append(str(site_file.store.path))

    assert sorted(set(used)) == sorted(used)


def test_the_sizes_are_what_the_stories_say() -> None:
    sizes = {file.stem: len(load_site_file(file).site.stations) for file in FILES}

    assert sizes["depot-nord"] == 12
    assert sizes["big-depot"] == 200
