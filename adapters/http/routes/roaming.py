"""Roaming partners and the lines to the operator's back office."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from adapters.http.auditing import audit
from adapters.http.models import Answer, Instant, Request, Text, example
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.problems import Problem, ProblemError, unprocessable
from adapters.http.services import Uses, Who
from controller.roaming import InvitationError, PartnerView, UpstreamLine

router = APIRouter(prefix="/api/v1", tags=["roaming"])

_NO_ROAMING = Problem(
    status=409,
    code="no-roaming",
    title="No roaming",
    detail="The site file has no section `ocpi`.",
    mend="Add it, as docs/how-to/roaming.md says, and start the controller again.",
)
_PARTNER = {
    "id": "example-mobility",
    "name": "Example Mobility",
    "state": "registered",
    "version": "2.2.1",
    "parties": [
        {"country_code": "NL", "party_id": "EXM", "role": "EMSP", "name": "Example Mobility"}
    ],
    "registered_at": "2026-03-01T09:00:00.000Z",
    "last_error": None,
    "last_error_at": None,
    "last_heard_at": "2026-03-02T08:00:00.000Z",
    "sessions": 12,
    "cdrs": 11,
    "undelivered_cdrs": 0,
}
_LINE = {
    "station": "CP001",
    "connected": True,
    "waiting": 0,
    "profiles": 1,
    "mapped_ids": 42,
    "last_error": None,
}


class PartyOut(Answer):
    """A party that speaks through a partner's connection."""

    country_code: str
    party_id: str
    role: str
    name: str


class PartnerOut(Answer):
    """A roaming partner."""

    model_config = example(**_PARTNER)

    id: str
    name: str
    state: str = Field(description="`invited`, `registered` or `blocked`.")
    version: str | None = Field(description="OCPI version; null before the registration.")
    parties: list[PartyOut]
    registered_at: Instant | None
    last_error: str | None
    last_error_at: Instant | None
    last_heard_at: Instant | None
    sessions: int
    cdrs: int
    undelivered_cdrs: int | None = Field(description="Null: nothing is pushed to it.")


class Partners(Answer):
    """A page of partners."""

    model_config = example(configured=True, tokens=1200, items=[_PARTNER], next_offset=None)

    configured: bool = Field(description="The site file has a section `ocpi`.")
    tokens: int = Field(description="Id tokens of all partners.")
    items: list[PartnerOut]
    next_offset: int | None


class InvitationIn(Request):
    """Whom to invite."""

    model_config = example(name="Example Mobility")

    name: Annotated[Text, Field(min_length=1, max_length=40)]


class InvitationOut(Answer):
    """What the partner needs to register. The token is not shown again."""

    model_config = example(
        id="example-mobility",
        versions_url="https://depot.example/ocpi/versions",
        token_a="uK3…",  # noqa: S106 - an example
    )

    id: str
    versions_url: str
    token_a: str


class LineOut(Answer):
    """A station's line to the back office."""

    model_config = example(**_LINE)

    station: str
    connected: bool
    waiting: int = Field(description="Messages that the back office has not confirmed.")
    profiles: int = Field(description="Its charging profiles that are kept and count.")
    mapped_ids: int = Field(description="Transactions with an id of its own.")
    last_error: str | None


class Lines(Answer):
    """A page of lines."""

    model_config = example(configured=True, items=[_LINE], next_offset=None)

    configured: bool = Field(description="The site file has a section `upstream`.")
    items: list[LineOut]
    next_offset: int | None


@router.get("/partners")
async def list_partners(services: Uses, limit: Limit = MANY, offset: Offset = 0) -> Partners:
    """Return the roaming partners; nothing that opens a door is among it."""
    register = services.partners
    if register is None:
        return Partners(configured=False, tokens=0, items=[], next_offset=None)
    found = await services.bridge.run(register.partners())
    tokens = await services.bridge.run(register.count_tokens())
    page, next_offset = page_of(found, limit=limit, offset=offset)
    return Partners(
        configured=True,
        tokens=tokens,
        items=[_partner(p) for p in page],
        next_offset=next_offset,
    )


@router.post("/partners")
async def invite_partner(asked: InvitationIn, services: Uses, who: Who) -> InvitationOut:
    """Invite a partner to register with us; its token A is answered once."""
    if services.partners is None:
        raise ProblemError(_NO_ROAMING)
    try:
        made = await services.bridge.carry_out(services.partners.invite(asked.name))
    except InvitationError as error:
        raise unprocessable(f"name: {error}.", "Choose another name.") from None
    await audit(
        services, who.name, "partner.invite", made.partner.id, after={"name": made.partner.name}
    )
    return InvitationOut(id=made.partner.id, versions_url=made.versions_url, token_a=made.token)


@router.get("/upstream")
async def list_upstream(services: Uses, limit: Limit = MANY, offset: Offset = 0) -> Lines:
    """Return each station's line to the operator's back office."""
    if services.upstream is None:
        return Lines(configured=False, items=[], next_offset=None)
    snapshot = services.control.snapshot()
    known = sorted(snapshot.site.stations) if snapshot is not None else []
    stations, next_offset = page_of(known, limit=limit, offset=offset)
    lines = await services.bridge.run(services.upstream.lines(stations))
    return Lines(configured=True, items=[_line(x) for x in lines], next_offset=next_offset)


def _partner(view: PartnerView) -> PartnerOut:
    return PartnerOut(
        id=view.id,
        name=view.name,
        state=view.state,
        version=view.version or None,
        parties=[
            PartyOut(country_code=p.country_code, party_id=p.party_id, role=p.role, name=p.name)
            for p in view.parties
        ],
        registered_at=view.registered_at,
        last_error=view.last_error or None,
        last_error_at=view.last_error_at,
        last_heard_at=view.last_heard_at,
        sessions=view.sessions,
        cdrs=view.cdrs,
        undelivered_cdrs=view.undelivered_cdrs,
    )


def _line(line: UpstreamLine) -> LineOut:
    return LineOut(
        station=line.station,
        connected=line.is_connected,
        waiting=line.waiting,
        profiles=line.profiles,
        mapped_ids=line.mapped_ids,
        last_error=line.last_error or None,
    )
