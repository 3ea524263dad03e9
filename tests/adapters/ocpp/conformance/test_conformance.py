"""Official test cases of both versions, played against a connection. Ids are those of the test tool."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from adapters.ocpp.v16 import V16Dialect
from adapters.ocpp.v201 import V201Dialect
from tests.adapters.ocpp.conformance.cases16 import CASES as CASES16
from tests.adapters.ocpp.conformance.cases16 import EXTRA as EXTRA16
from tests.adapters.ocpp.conformance.cases201 import CASES as CASES201
from tests.adapters.ocpp.conformance.cases201 import EXTRA
from tests.adapters.ocpp.conformance.play import Case, play

PLAYED16 = [c for c in (*CASES16, *EXTRA16) if c.steps]
PLAYED201 = [c for c in (*CASES201, *EXTRA) if c.steps]


@pytest.mark.parametrize("case", PLAYED16, ids=lambda c: c.id)
def test_ocpp16(case: Case) -> None:
    asyncio.run(play(case, V16Dialect))
    assert case.steps


def test_every_case_of_16_is_here() -> None:
    assert len({c.id for c in CASES16}) == 77


@pytest.mark.parametrize("case", PLAYED201, ids=lambda c: c.id)
def test_ocpp201(case: Case) -> None:
    asyncio.run(play(case, V201Dialect))
    assert case.steps


def test_every_case_of_the_blocks_of_201_is_here() -> None:
    blocks = Counter(c.id[3] for c in CASES201)
    assert blocks == dict(
        zip("ABCDEFGHJKLMNP", (14, 22, 16, 6, 27, 15, 10, 9, 9, 32, 19, 18, 30, 2), strict=True)
    )
    assert len({c.id for c in CASES201}) == len(CASES201)
