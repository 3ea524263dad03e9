"""Whoever lowers an EVSE's maximum is heard: all maxima count as a minimum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.operator import EvseOverride, Overrides
from controller.wishes import wanted_a
from tests.fakes.control import FakeControl


@pytest.mark.parametrize("who", ["max_a", "partner_max_a", "upstream_max_a"])
@pytest.mark.parametrize(("limit_a", "wanted"), [(10.0, 10.0), (64.0, 32.0)])
def test_a_maximum_only_lowers(who: str, limit_a: float, wanted: float) -> None:
    control = FakeControl()
    control.publish()
    snapshot = control.snapshot()
    assert snapshot is not None
    evse = next(iter(snapshot.site.evses()))
    wish = EvseOverride(**{who: limit_a})
    lowered = replace(snapshot, overrides=Overrides(evses={evse.id: wish}))

    assert wanted_a(lowered, evse) == wanted
