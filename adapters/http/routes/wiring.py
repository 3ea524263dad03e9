"""How far the wiring between chargers and meters is known."""

from __future__ import annotations

from fastapi import APIRouter

from adapters.http import models as m
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.services import Uses
from adapters.http.views import figure
from adapters.http.wiring_models import WiringList, WiringOut
from controller.phases import Phase
from controller.wiring import WiringView

router = APIRouter(prefix="/api/v1", tags=["site"])


@router.get("/wiring")
async def list_wiring(services: Uses, limit: Limit = MANY, offset: Offset = 0) -> WiringList:
    """Return, for every EVSE and every metered circuit above it, what its starts and stops showed."""
    items, next_offset = page_of(services.control.wiring(), limit=limit, offset=offset)
    return WiringList(items=[_out(view) for view in items], next_offset=next_offset)


def _out(view: WiringView) -> WiringOut:
    l1, l2, l3 = (figure(view.gain_ratio.get(phase)) for phase in (Phase.L1, Phase.L2, Phase.L3))
    return WiringOut(
        evse=view.evse,
        circuit=view.circuit,
        meter=view.meter,
        verdict=view.verdict,
        steps=view.steps,
        gain=m.Phases(l1=l1, l2=l2, l3=l3),
        tells_phases=view.tells_phases,
    )
