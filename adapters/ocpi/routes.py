"""The CPO endpoints of OCPI 2.2.1, and those of 2.1.1 where the objects only look different."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from adapters.ocpi import v211
from adapters.ocpi.envelope import OcpiError, Status, answer, refused
from adapters.ocpi.ledger import cdr_query, session_query
from adapters.ocpi.locations import CONNECTOR, location_of
from adapters.ocpi.models.commands import (
    ActiveChargingProfileResult,
    ChargingProfileResponse,
    ChargingProfileResponseType,
    ChargingProfileResult,
    ChargingProfileResultType,
    SetChargingProfile,
)
from adapters.ocpi.models.credentials import ClientInfo
from adapters.ocpi.models.locations import Evse, Location
from adapters.ocpi.models.sessions import ChargingPreferences
from adapters.ocpi.models.tokens import Token
from adapters.ocpi.outcomes import deliver
from adapters.ocpi.partners import Partner, PartnerState
from adapters.ocpi.parts import Parts
from adapters.ocpi.registration import VERSIONS, first_fault
from adapters.ocpi.tariffs import to_ocpi
from adapters.ocpi.web import body_of, echoed, page_of, paged
from controller.roaming import Document, DocumentQuery

Handler = Callable[[Request, Partner], Awaitable[Response]]
MODULES = (
    ("credentials", "SENDER"),
    ("credentials", "RECEIVER"),
    ("locations", "SENDER"),
    ("sessions", "SENDER"),
    ("cdrs", "SENDER"),
    ("tariffs", "SENDER"),
    ("tokens", "RECEIVER"),
    ("commands", "RECEIVER"),
    ("chargingprofiles", "RECEIVER"),
    ("hubclientinfo", "RECEIVER"),
)
OLD_MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
CLIENTS = "ocpi.client"


def create_app(parts: Parts) -> FastAPI:
    """Build the application; every route asks for a token itself."""
    app = FastAPI(title="Wattkeeper OCPI", openapi_url=None, docs_url=None, redoc_url=None)
    routes = Routes(parts)
    routes.mount(app)
    app.add_exception_handler(OcpiError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    return app


class Routes:
    """All endpoints."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings

    def mount(self, app: FastAPI) -> None:
        """Add every route under the path that partners were told."""
        root = urlsplit(self._settings.url).path.rstrip("/")
        app.add_api_route(f"{root}/versions", self.versions, methods=["GET"])
        for version in VERSIONS:
            self._mount_version(app, f"{root}/{version}", version)

    def _mount_version(self, app: FastAPI, base: str, version: str) -> None:
        async def details(request: Request) -> Response:
            return await self.details(request, version)

        async def credentials(request: Request) -> Response:
            return await self.credentials(request, version)

        app.add_api_route(base, details, methods=["GET"])
        app.add_api_route(
            f"{base}/credentials", credentials, methods=["GET", "POST", "PUT", "DELETE"]
        )
        for path, method, handler in (
            ("/locations", "GET", self.locations),
            ("/locations/{location}", "GET", self.location),
            ("/locations/{location}/{evse}", "GET", self.location),
            ("/locations/{location}/{evse}/{connector}", "GET", self.location),
            ("/sessions", "GET", self.sessions),
            ("/sessions/{session}/charging_preferences", "PUT", self.preferences),
            ("/cdrs", "GET", self.cdrs),
            ("/tariffs", "GET", self.tariffs),
            ("/tokens/{country}/{party}/{uid}", "GET", self.token),
            ("/tokens/{country}/{party}/{uid}", "PUT", self.put_token),
            ("/tokens/{country}/{party}/{uid}", "PATCH", self.patch_token),
            ("/commands/{command}", "POST", self.command),
            ("/chargingprofiles/{session}", "GET", self.active_profile),
            ("/chargingprofiles/{session}", "PUT", self.put_profile),
            ("/chargingprofiles/{session}", "DELETE", self.clear_profile),
            ("/hubclientinfo/{country}/{party}", "GET", self.client_info),
            ("/hubclientinfo/{country}/{party}", "PUT", self.put_client_info),
        ):
            if version == "2.1.1" and path.split("/")[1] not in OLD_MODULES:
                continue
            app.add_api_route(base + path, self._functional(handler), methods=[method])

    def _functional(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a module's handler: a registered partner, its own party, and headers in the answer."""

        async def endpoint(request: Request) -> Response:
            caller = await self._parts.door.caller(request)
            self._parts.door.check_routing(request, caller.partner)
            response = await handler(request, caller.partner)
            response.headers.update(echoed(request))
            return response

        return endpoint

    # --- versions and credentials -----------------------------------------------------------------

    async def versions(self, request: Request) -> Response:
        """List the versions."""
        await self._parts.door.caller(request, invited=True)
        return answer([{"version": v, "url": f"{self._settings.url}/{v}"} for v in VERSIONS])

    async def details(self, request: Request, version: str) -> Response:
        """List the modules of a version."""
        await self._parts.door.caller(request, invited=True)
        base = f"{self._settings.url}/{version}"
        if version == "2.1.1":
            endpoints = [{"identifier": m, "url": f"{base}/{m}"} for m in OLD_MODULES]
        else:
            endpoints = [
                {"identifier": m, "role": role, "url": f"{base}/{m}"} for m, role in MODULES
            ]
        return answer({"version": version, "endpoints": endpoints})

    async def credentials(self, request: Request, version: str) -> Response:
        """Show, register, rotate or end."""
        caller = await self._parts.door.caller(request, invited=True)
        partner, registrar = caller.partner, self._parts.registrar
        is_registered = partner.state is PartnerState.REGISTERED
        if request.method == "GET":
            shown = request.headers["Authorization"].partition(" ")[2]
            return answer(registrar.ours(shown[:64], version=version))
        if (request.method == "POST") is is_registered:
            text = "Already registered: use PUT" if is_registered else "Not registered: use POST"
            raise OcpiError(Status.CLIENT_ERROR, text, http=405, headers={"Allow": "GET"})
        if request.method == "DELETE":
            await registrar.unregister(partner)
            return answer()
        body = await body_of(request, most=self._settings.max_body_bytes)
        return answer(
            await registrar.accept(partner, body, encoded=caller.is_encoded, version=version)
        )

    # --- locations ----------------------------------------------------------------------------------

    def _location(self) -> Location | None:
        parts = self._parts
        if not parts.board.seen:
            return None
        return location_of(
            parts.site, settings=parts.settings, ids=parts.ids, seen=parts.board.seen
        )

    async def locations(self, request: Request, partner: Partner) -> Response:
        """List: one site is one location."""
        page = page_of(request, most=self._settings.page_limit)
        found = self._location()
        listed = [found] if found is not None else []
        listed = [
            x
            for x in listed
            if (page.since is None or x.last_updated >= page.since)
            and (page.until is None or x.last_updated < page.until)
        ]
        items = [self._shaped(partner, x) for x in listed][page.offset : page.offset + page.limit]
        return self._paged(items, len(listed), page, request, "locations", partner)

    async def location(self, request: Request, partner: Partner) -> Response:
        """Show the location, an EVSE or a connector."""
        found = self._location()
        wanted = request.path_params
        if found is None or wanted["location"].casefold() != found.id.casefold():
            raise OcpiError(Status.UNKNOWN_LOCATION, "There is no such location", http=404)
        if "evse" not in wanted:
            return answer(self._shaped(partner, found))
        evse = _evse_in(found, wanted["evse"])
        if evse is None or wanted.get("connector", CONNECTOR) != CONNECTOR:
            raise OcpiError(Status.UNKNOWN_LOCATION, "There is no such EVSE", http=404)
        shaped = self._shaped(partner, found)["evses"][(found.evses or []).index(evse)]
        return answer(shaped["connectors"][0] if "connector" in wanted else shaped)

    def _shaped(self, partner: Partner, location: Location) -> dict[str, Any]:
        data = location.as_json()
        return v211.location(data) if partner.version == "2.1.1" else data

    # --- sessions, CDRs, tariffs ----------------------------------------------------------------------

    async def sessions(self, request: Request, partner: Partner) -> Response:
        """List the partner's own sessions."""
        if partner.version != "2.1.1":
            return await self._listed(request, partner, session_query(partner.id), "sessions", None)
        found = self._location()
        place = self._shaped(partner, found) if found is not None else None

        def shaped(data: dict[str, Any]) -> dict[str, Any]:
            return v211.session(data, place)

        return await self._listed(request, partner, session_query(partner.id), "sessions", shaped)

    async def cdrs(self, request: Request, partner: Partner) -> Response:
        """List the partner's own CDRs."""
        shape = v211.cdr if partner.version == "2.1.1" else None
        return await self._listed(request, partner, cdr_query(partner.id), "cdrs", shape)

    async def tariffs(self, request: Request, partner: Partner) -> Response:
        """List: one site has one tariff at a time."""
        page = page_of(request, most=self._settings.page_limit)
        made = to_ocpi(
            self._settings.tariff,
            party=self._settings.party,
            updated_at=self._parts.started_at,
        ).as_json()
        items = [v211.tariff(made) if partner.version == "2.1.1" else made]
        items = items[page.offset : page.offset + page.limit]
        return self._paged(items, 1, page, request, "tariffs", partner)

    async def preferences(self, request: Request, partner: Partner) -> Response:
        """Take a driver's wishes."""
        wishes = await self._read(request, ChargingPreferences)
        result = await self._parts.limits.prefer(partner, request.path_params["session"], wishes)
        if result is None:
            raise OcpiError(Status.INVALID_PARAMETERS, "There is no such running session", http=404)
        return answer(result.value)

    # --- tokens ---------------------------------------------------------------------------------------

    async def token(self, request: Request, partner: Partner) -> Response:
        """Show one of the partner's tokens."""
        country, party, uid, kind = self._token_key(request, partner)
        found = await self._parts.tokens.get(country, party, uid, kind)
        if found is None or found.partner != partner.id:
            raise OcpiError(Status.UNKNOWN_TOKEN, "There is no such token", http=404)
        data = found.token.as_json()
        return answer(v211.token_out(data) if partner.version == "2.1.1" else data)

    async def put_token(self, request: Request, partner: Partner) -> Response:
        """Take a new or changed token."""
        country, party, uid, kind = self._token_key(request, partner)
        body = await body_of(request, most=self._settings.max_body_bytes)
        if partner.version == "2.1.1" and isinstance(body, dict):
            body = v211.token_in(body, country=country, party=party)
        token = _valid(Token, body)
        named = (token.country_code, token.party_id, token.uid, token.type.value)
        if [n.casefold() for n in named] != [n.casefold() for n in (country, party, uid, kind)]:
            raise OcpiError(Status.INVALID_PARAMETERS, "The token is not the one in the address")
        is_new = await self._parts.tokens.put(token, partner.id)
        return answer(http=201 if is_new else 200)

    async def patch_token(self, request: Request, partner: Partner) -> Response:
        """Change some fields of a token; `last_updated` is needed."""
        country, party, uid, kind = self._token_key(request, partner)
        found = await self._parts.tokens.get(country, party, uid, kind)
        if found is None or found.partner != partner.id:
            raise OcpiError(Status.UNKNOWN_TOKEN, "There is no such token", http=404)
        body = await body_of(request, most=self._settings.max_body_bytes)
        if not isinstance(body, dict) or "last_updated" not in body:
            raise OcpiError(Status.INVALID_PARAMETERS, "last_updated: it is needed in a PATCH")
        fixed = {"country_code", "party_id", "uid", "type"}
        changed = {k: v for k, v in body.items() if k not in fixed}
        if partner.version == "2.1.1" and "auth_id" in changed:
            changed["contract_id"] = changed.pop("auth_id")
        await self._parts.tokens.put(_valid(Token, found.token.as_json() | changed), partner.id)
        return answer()

    def _token_key(self, request: Request, partner: Partner) -> tuple[str, str, str, str]:
        wanted = request.path_params
        if not partner.owns(wanted["country"], wanted["party"]):
            raise OcpiError(
                Status.INVALID_PARAMETERS, "The party in the address is not one of yours"
            )
        kind = request.query_params.get("type", "RFID")[:20]
        return wanted["country"], wanted["party"], wanted["uid"], kind

    # --- commands and profiles ------------------------------------------------------------------------

    async def command(self, request: Request, partner: Partner) -> Response:
        """Take a command."""
        body = await body_of(request, most=self._settings.max_body_bytes)
        if partner.version == "2.1.1" and isinstance(body, dict) and partner.parties:
            party = partner.parties[0]
            body = v211.command_in(body, country=party.country_code, party=party.party_id)
        response = await self._parts.commander.take(partner, request.path_params["command"], body)
        data = response.as_json()
        return answer({"result": data["result"]} if partner.version == "2.1.1" else data)

    async def active_profile(self, request: Request, partner: Partner) -> Response:
        """Send what a session may take to the partner's address."""
        session = request.path_params["session"]
        url = self._response_url(request.query_params.get("response_url", ""), partner)
        profile = await self._parts.limits.active(partner, session)
        if profile is None:
            return _profile_answer(ChargingProfileResponseType.UNKNOWN_SESSION)
        outcome = ActiveChargingProfileResult(
            result=ChargingProfileResultType.ACCEPTED, profile=profile
        )
        deliver(self._parts, partner, url, outcome)
        return _profile_answer(ChargingProfileResponseType.ACCEPTED)

    async def put_profile(self, request: Request, partner: Partner) -> Response:
        """Take a limit for a session."""
        wanted = await self._read(request, SetChargingProfile)
        url = self._response_url(wanted.response_url, partner)
        result = await self._parts.limits.put(
            partner, request.path_params["session"], wanted.charging_profile
        )
        if result is ChargingProfileResponseType.ACCEPTED:
            outcome = ChargingProfileResult(result=ChargingProfileResultType.ACCEPTED)
            deliver(self._parts, partner, url, outcome)
        return _profile_answer(result)

    async def clear_profile(self, request: Request, partner: Partner) -> Response:
        """Lift a partner's limit."""
        url = self._response_url(request.query_params.get("response_url", ""), partner)
        result = await self._parts.limits.clear(partner, request.path_params["session"])
        if result is ChargingProfileResponseType.ACCEPTED:
            outcome = ChargingProfileResult(result=ChargingProfileResultType.ACCEPTED)
            deliver(self._parts, partner, url, outcome)
        return _profile_answer(result)

    def _response_url(self, url: str, partner: Partner) -> str:
        self._parts.commander.check_url(partner, url)
        return url

    # --- hub clients ------------------------------------------------------------------------------------

    async def client_info(self, request: Request, partner: Partner) -> Response:
        """Show what a hub told of a party."""
        key = _client_key(request, partner)
        found = await self._parts.documents.document(CLIENTS, key)
        if found is None:
            raise OcpiError(Status.CLIENT_ERROR, "There is no such party", http=404)
        return answer(json.loads(found.body))

    async def put_client_info(self, request: Request, partner: Partner) -> Response:
        """Take what a hub tells of a party."""
        if not any(p.role == "HUB" for p in partner.parties):
            raise OcpiError(Status.INVALID_PARAMETERS, "Only a hub tells of other parties")
        info = await self._read(request, ClientInfo)
        is_new = await self._parts.documents.put_document(
            Document(
                kind=CLIENTS,
                key=_client_key(request, partner),
                body=json.dumps(info.as_json()),
                updated_at=info.last_updated,
            )
        )
        return answer(http=201 if is_new else 200)

    # --- common -----------------------------------------------------------------------------------------

    async def _read(self, request: Request, model: Any) -> Any:
        return _valid(model, await body_of(request, most=self._settings.max_body_bytes))

    async def _listed(
        self,
        request: Request,
        partner: Partner,
        query: DocumentQuery,
        module: str,
        shape: Callable[[dict[str, Any]], dict[str, Any]] | None,
    ) -> Response:
        page = page_of(request, most=self._settings.page_limit)
        wanted = DocumentQuery(
            kind=query.kind,
            since=page.since,
            until=page.until,
            limit=page.limit,
            offset=page.offset,
        )
        found = await self._parts.documents.documents(wanted)
        total = await self._parts.documents.count_documents(wanted)
        bodies = [without_nulls(json.loads(d.body)) for d in found]
        items = [shape(b) for b in bodies] if shape is not None else bodies
        return self._paged(items, total, page, request, module, partner)

    def _paged(
        self, items: Any, total: int, page: Any, request: Request, module: str, partner: Partner
    ) -> Response:
        version = partner.version or VERSIONS[0]
        return paged(
            items,
            total=total,
            page=page,
            request=request,
            url=f"{self._settings.url}/{version}/{module}",
            most=self._settings.page_limit,
        )


def without_nulls(value: Any) -> Any:
    """Return JSON without the keys that are null."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def _evse_in(location: Location, uid: str) -> Evse | None:
    return next((e for e in location.evses or [] if e.uid == uid.upper()), None)


def _client_key(request: Request, partner: Partner) -> str:
    wanted = request.path_params
    return f"{partner.id}|{wanted['country'][:2].upper()}|{wanted['party'][:3].upper()}"


def _valid(model: Any, body: Any) -> Any:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise OcpiError(Status.INVALID_PARAMETERS, first_fault(error)) from error


def _profile_answer(result: ChargingProfileResponseType) -> Response:
    return answer(ChargingProfileResponse(result=result, timeout=30).as_json())


async def _on_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, OcpiError):
        raise error
    response = refused(error)
    response.headers.update(echoed(request))
    return response


async def _on_http(request: Request, error: Exception) -> Response:
    """Answer what the router refuses in OCPI's own form."""
    if not isinstance(error, HTTPException):
        raise error
    text = "There is no such endpoint" if error.status_code == 404 else "Not possible here"
    response = answer(
        status=Status.CLIENT_ERROR,
        message=text,
        http=error.status_code,
        headers=dict(error.headers or {}),
    )
    response.headers.update(echoed(request))
    return response
