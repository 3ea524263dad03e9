"""The handshake of credentials, in both directions. Source: OCPI 2.2.1 `credentials`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from adapters.ocpi.client import Ask, PartnerClient, PartnerError
from adapters.ocpi.envelope import OcpiError, Status
from adapters.ocpi.guard import ForbiddenUrlError, Guard
from adapters.ocpi.models.base import BusinessDetails
from adapters.ocpi.models.credentials import (
    Credentials,
    Credentials211,
    CredentialsRole,
    PartyRole,
    Version,
    VersionDetails,
)
from adapters.ocpi.partners import (
    Partner,
    PartnerBook,
    PartnerState,
    Party,
    digest,
    host_of,
    new_token,
)
from adapters.ocpi.settings import OcpiSettings
from adapters.vault import Vault
from controller.ports import Clock

VERSIONS = ("2.2.1", "2.1.1")
"""What we speak, best first."""
MOST_VERSIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """How a partner is spoken to, found out by asking it."""

    version: str
    endpoints: Mapping[str, str]
    hosts: tuple[str, ...]
    encodes_token: bool


class Registrar:
    """Registers, rotates and unregisters."""

    def __init__(
        self,
        *,
        settings: OcpiSettings,
        book: PartnerBook,
        client: PartnerClient,
        guard: Guard,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._book = book
        self._client = client
        self._guard = guard
        self._vault = vault
        self._clock = clock

    def ours(self, token: str, *, version: str) -> Mapping[str, Any]:
        """Write our credentials with a token for the partner."""
        settings = self._settings
        details = BusinessDetails(name=settings.operator, website=settings.website)
        url = f"{settings.url}/versions"
        if version == "2.1.1":
            return Credentials211(
                token=token,
                url=url,
                business_details=details,
                party_id=settings.party_id,
                country_code=settings.country_code,
            ).as_json()
        role = CredentialsRole(
            role=PartyRole.CPO,
            business_details=details,
            party_id=settings.party_id,
            country_code=settings.country_code,
        )
        return Credentials(token=token, url=url, roles=[role]).as_json()

    async def accept(
        self, partner: Partner, body: Any, *, encoded: bool, version: str
    ) -> Mapping[str, Any]:
        """Answer a partner's POST or PUT: look at its versions, then give it a new token.

        Raises:
            OcpiError: Its credentials are not valid, its address must not be called, its party
                belongs to somebody else, or it cannot be reached.
        """
        theirs = _credentials(body)
        self._check_parties(partner, theirs)
        try:
            self._guard.check(theirs.url)
        except ForbiddenUrlError as error:
            raise OcpiError(Status.INVALID_PARAMETERS, f"url: {error}") from error
        try:
            doorway = await self._look(theirs.url, theirs.token, wanted=version, encoded=encoded)
        except PartnerError as error:
            await self._book.note_error(partner.id, f"registration: {error}", self._clock.now())
            raise OcpiError(Status.CANNOT_USE_API, f"your versions: {error}") from error
        token = new_token()
        await self._book.save(
            self._registered(partner, theirs, doorway, our_token=token), self._clock.now()
        )
        return self.ours(token, version=version)

    async def register(self, partner: Partner, *, url: str, token: str) -> Partner:
        """Register with a partner that gave us its token A and the address of its versions.

        The partner must be saved with the digest of the token that it gets from us: it will call
        our versions before it answers.

        Raises:
            PartnerError: It refuses or cannot be reached.
        """
        self._guard_check(url)
        doorway = await self._look(url, token, wanted=None, encoded=True)
        credentials = doorway.endpoints.get("credentials/SENDER") or doorway.endpoints.get(
            "credentials/RECEIVER"
        )
        credentials = credentials or doorway.endpoints.get("credentials/")
        if credentials is None:
            raise PartnerError("it offers no credentials module")
        ours = new_token()
        waiting = replace(partner, token_digest=digest(ours), versions_url=url)
        await self._book.save(waiting, self._clock.now())
        ask = Ask(method="POST", url=credentials, body=self.ours(ours, version=doorway.version))
        reply = await self._client.ask_with(
            ask, token, encodes=doorway.encodes_token, hosts=frozenset(doorway.hosts)
        )
        try:
            theirs = _credentials(reply.data)
        except OcpiError as error:
            raise PartnerError(f"its credentials are not valid: {error}") from error
        done = self._registered(waiting, theirs, doorway, our_token=ours)
        await self._book.save(done, self._clock.now())
        return done

    async def unregister(self, partner: Partner) -> None:
        """Take back every token; what was exchanged is kept."""
        await self._book.save(
            replace(partner, state=PartnerState.BLOCKED, sealed_token=None, token_digest=""),
            self._clock.now(),
        )

    def _guard_check(self, url: str) -> None:
        try:
            self._guard.check(url)
        except ForbiddenUrlError as error:
            raise PartnerError(f"its address is not called: {error}") from error

    def _check_parties(self, partner: Partner, theirs: Credentials) -> None:
        for role in theirs.roles:
            owner = self._book.by_party(role.country_code, role.party_id)
            is_ours = (role.country_code.upper(), role.party_id.upper()) == self._settings.party
            if is_ours or (owner is not None and owner.id != partner.id):
                raise OcpiError(
                    Status.INVALID_PARAMETERS,
                    f"roles: {role.country_code}*{role.party_id} is registered by somebody else",
                )

    async def _look(self, url: str, token: str, *, wanted: str | None, encoded: bool) -> Doorway:
        """Read a partner's versions and endpoints; the token encoded, or raw where only that works."""
        encodes = encoded
        try:
            reply = await self._client.ask_with(Ask(method="GET", url=url), token, encodes=encodes)
        except PartnerError as error:
            if error.is_offline:
                raise
            encodes = not encodes
            reply = await self._client.ask_with(Ask(method="GET", url=url), token, encodes=encodes)
        offered = _versions(reply.data)
        version = next((v for v in ((wanted,) if wanted else VERSIONS) if v in offered), None)
        if version is None:
            raise PartnerError(f"it speaks {', '.join(sorted(offered)) or 'no version'}")
        details = await self._client.ask_with(
            Ask(method="GET", url=offered[version]), token, encodes=encodes
        )
        try:
            endpoints = VersionDetails.model_validate(details.data).endpoints
        except ValidationError as error:
            raise PartnerError("its version details are not valid") from error
        for endpoint in endpoints:
            self._guard_check(endpoint.url)
        hosts = {host_of(u) for u in (url, offered[version], *(e.url for e in endpoints))}
        return Doorway(
            version=version,
            endpoints={f"{e.identifier}/{e.role or ''}": e.url for e in endpoints},
            hosts=tuple(sorted(hosts)),
            encodes_token=encodes,
        )

    def _registered(
        self, partner: Partner, theirs: Credentials, doorway: Doorway, *, our_token: str
    ) -> Partner:
        return replace(
            partner,
            state=PartnerState.REGISTERED,
            token_digest=digest(our_token),
            sealed_token=self._vault.seal(theirs.token),
            encodes_token=doorway.encodes_token,
            version=doorway.version,
            versions_url=theirs.url,
            endpoints=doorway.endpoints,
            hosts=doorway.hosts,
            parties=tuple(
                Party(
                    country_code=r.country_code.upper(),
                    party_id=r.party_id.upper(),
                    role=r.role.value,
                    name=r.business_details.name,
                )
                for r in theirs.roles
            ),
            registered_at=partner.registered_at or self._clock.now().isoformat(),
            last_error="",
            last_error_at="",
        )


def _credentials(body: Any) -> Credentials:
    """Read credentials of either version."""
    try:
        if isinstance(body, dict) and "roles" not in body:
            old = Credentials211.model_validate(body)
            role = CredentialsRole(
                role=PartyRole.EMSP,
                business_details=old.business_details,
                party_id=old.party_id,
                country_code=old.country_code,
            )
            return Credentials(token=old.token, url=old.url, roles=[role])
        return Credentials.model_validate(body)
    except ValidationError as error:
        raise OcpiError(Status.INVALID_PARAMETERS, first_fault(error)) from error


def _versions(data: Any) -> dict[str, str]:
    if not isinstance(data, list):
        raise PartnerError("its versions are not a list")
    try:
        read = [Version.model_validate(item) for item in data[:MOST_VERSIONS]]
    except ValidationError as error:
        raise PartnerError("its versions are not valid") from error
    return {v.version: v.url for v in read}


def first_fault(error: ValidationError) -> str:
    """Say in one line what is wrong, without the value."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"]) or "body"
    return f"{place}: {fault['msg']}"[:255]
