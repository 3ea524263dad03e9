"""Groups of stations, and the configuration that stations are to keep."""

from __future__ import annotations

import pytest

from controller.desired import DesiredConfiguration
from controller.site import StationId
from tests.adapters.config.files import GOOD, load, problems_of

GROUPS = """\
station_groups:
  walls:
    configuration:
      keys: {LightIntensity: 20, AuthorizeRemoteTxRequests: true, HeartbeatInterval: 300}
      variables: {OCPPCommCtrlr.HeartbeatInterval: 300}
"""


def member(configuration: str = "") -> str:
    grouped = GOOD.replace(
        "    circuit: hall\n", f"    circuit: hall\n    group: walls\n{configuration}"
    )
    return grouped + GROUPS


def test_a_station_keeps_its_groups_configuration_with_its_own_over_it() -> None:
    own = "    configuration: {keys: {HeartbeatInterval: 600}}\n"
    assert load(member(own)).desired[StationId("CP1")] == DesiredConfiguration(
        keys={
            "LightIntensity": "20",
            "AuthorizeRemoteTxRequests": "true",
            "HeartbeatInterval": "600",
        },
        variables={"OCPPCommCtrlr.HeartbeatInterval": "300"},
    )


def test_a_group_knows_its_stations() -> None:
    assert load(member()).groups == {"walls": (StationId("CP1"),)}


def test_without_wishes_nothing_is_wanted() -> None:
    file = load(GOOD)
    assert (file.desired, file.ocpp.data_transfer) == ({}, frozenset())


def test_each_version_takes_what_it_knows() -> None:
    wanted = load(member()).desired[StationId("CP1")]
    assert "LightIntensity" in wanted.of("ocpp1.6")
    assert set(wanted.of("ocpp2.0.1")) == {"OCPPCommCtrlr.HeartbeatInterval"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (member().replace("  walls:", "  wall:"), "did you mean `wall`?"),
        (member().replace("LightIntensity", "AuthorizationKey"), "never stand in this file"),
        (member().replace("OCPPCommCtrlr.Heart", "Heart"), "names no variable"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, said: str) -> None:
    problems = problems_of(text)
    assert any(said in str(problem) for problem in problems), problems
