"""Who may connect: identity, password or certificate, protocol, rate, and the one already there."""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from shlex import quote
from typing import Final, Protocol

from websockets.http11 import Request

from adapters.ocpp.handshake import (
    Negotiated,
    identity_of,
    negotiate,
    password_of,
    subprotocols_of,
)
from adapters.ocpp.notices import Notices
from adapters.ocpp.registry import Registry
from adapters.ocpp.settings import Listener, OcppSettings
from adapters.ocpp.throttle import Throttle
from adapters.ocpp.tls import ClientCertificate
from controller.access import StationSecurity
from controller.care import Stranger
from controller.decision import Severity
from controller.ports import Clock, StationDesk
from controller.records import AuditEntry
from controller.site import StationId

_HOUR_S: Final = 3600.0
_TEN_MINUTES_S: Final = 600.0
_MAX_REMEMBERED: Final = 4096
"""Addresses and identities whose failures are remembered."""
_INSISTS_AFTER: Final = 3
"""Refused attempts from the first connection's own address before it takes that one's place."""
_AUDITED_PER_MINUTE: Final = 6.0
_AUDITED_BURST: Final = 3

WRONG_PASSWORD: Final = "WRONG_PASSWORD"  # noqa: S105 - the code of a condition
WRONG_CERTIFICATE: Final = "WRONG_CERTIFICATE"
UNKNOWN_STATION: Final = "UNKNOWN_STATION"
DUPLICATE_IDENTITY: Final = "DUPLICATE_IDENTITY"
STATION_RECONNECTS: Final = "STATION_RECONNECTS"
SECURITY_DOWNGRADE: Final = "SECURITY_DOWNGRADE"


class StationSecrets(Protocol):
    """The part of the store that admission needs."""

    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        """Compare in constant time; False for unknown stations, in about the same time."""

    async def station_security(self, station: StationId) -> StationSecurity:
        """Return how a station must protect its connection."""

    async def save_station_security(self, station: StationId, security: StationSecurity) -> None:
        """Store it."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who knocks: what the connection itself says."""

    peer: str
    """Address."""
    listener: Listener
    certificate: ClientCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A handshake that was let in."""

    station: StationId
    peer: str
    negotiated: Negotiated
    security_profile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A handshake that was turned away."""

    status: http.HTTPStatus
    text: str


@dataclass(slots=True)
class _Insistence:
    """Attempts to take the place of a connection that answers pings."""

    generation: int
    frames: int
    attempts: int = 0


_TOO_MANY_FAILURES: Final = Refusal(
    status=http.HTTPStatus.TOO_MANY_REQUESTS, text="Too many failed attempts."
)
_UNKNOWN: Final = Refusal(status=http.HTTPStatus.NOT_FOUND, text="Unknown station.")
_DUPLICATE: Final = Refusal(
    status=http.HTTPStatus.CONFLICT, text="A station with this identity is connected."
)


class Entrance:
    """Decides on handshakes. Refusals cost those who cause them, and nobody else."""

    def __init__(
        self,
        *,
        settings: OcppSettings,
        desk: StationDesk,
        store: StationSecrets,
        registry: Registry,
        notices: Notices,
        clock: Clock,
        protocols: Collection[str],
        on_stranger: Callable[[Stranger], None],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        """Guard a server.

        Args:
            settings: Rates and listeners.
            desk: Knows the site's stations.
            store: Knows their passwords.
            registry: Knows who is connected.
            notices: Where refusals are reported.
            clock: Of the rates.
            protocols: OCPP versions that are implemented.
            on_stranger: Told of unknown stations with a sound handshake.
            spawn: Runs what must not delay a handshake.
        """
        self._settings = settings
        self._desk = desk
        self._store = store
        self._registry = registry
        self._notices = notices
        self._clock = clock
        self._protocols = protocols
        self._on_stranger = on_stranger
        self._spawn = spawn
        self._failures = _throttle(settings.failures_per_minute, settings.failures_burst)
        self._connects = _throttle(settings.connects_per_minute, settings.connects_burst)
        self._audits = _throttle(_AUDITED_PER_MINUTE, _AUDITED_BURST)
        self._insisting: dict[StationId, _Insistence] = {}

    async def admit(self, caller: Caller, request: Request) -> Admission | Refusal:
        """Decide on a handshake: identity, proof, protection, protocol, rate, duplicate."""
        identity = identity_of(request.path)
        if identity is None:
            self._failures.count(caller.peer, self._clock.monotonic_s())
            return Refusal(
                status=http.HTTPStatus.NOT_FOUND,
                text="The address must end with the station's identity, as in /CP001.",
            )
        station = StationId(identity)
        negotiated = self._negotiated(station, request)
        refusal = await self._authenticate(caller, station, request, negotiated)
        if refusal is not None:
            return refusal
        if negotiated is None:
            return Refusal(
                status=http.HTTPStatus.BAD_REQUEST,
                text=f"Offer a subprotocol that is spoken here: {', '.join(self._protocols)}.",
            )
        refusal = self._slow_down(station) or await self._contest(caller.peer, station)
        if refusal is not None:
            return refusal
        self._connects.count(station, self._clock.monotonic_s())
        return Admission(
            station=station,
            peer=caller.peer,
            negotiated=negotiated,
            security_profile=caller.listener.security_profile,
        )

    def welcome(self, admission: Admission) -> None:
        """Note that a station is in: its troubles are over, its protection may only get better."""
        station = admission.station
        for code in (WRONG_PASSWORD, WRONG_CERTIFICATE, UNKNOWN_STATION, SECURITY_DOWNGRADE):
            self._notices.end(code, station)
        self._insisting.pop(station, None)
        self._spawn(self._note_protection(station, admission.security_profile))

    async def _note_protection(self, station: StationId, profile: int) -> None:
        security = await self._store.station_security(station)
        if profile > max(1, security.least_profile):
            raised = StationSecurity(
                least_profile=profile,
                certificate_name=security.certificate_name,
                certificates_from=security.certificates_from,
            )
            await self._store.save_station_security(station, raised)

    def _negotiated(self, station: StationId, request: Request) -> Negotiated | None:
        return negotiate(
            subprotocols_of(request.headers.get_all("Sec-WebSocket-Protocol")),
            available=self._protocols,
            pinned=self._settings.pinned_protocols.get(station),
            default=self._settings.default_protocol,
        )

    # --- proof ------------------------------------------------------------------------------------

    async def _authenticate(
        self, caller: Caller, station: StationId, request: Request, negotiated: Negotiated | None
    ) -> Refusal | None:
        """Check that the station is known and is itself; equally slow for known and unknown."""
        is_known = self._desk.evses(station) is not None
        suspect = (caller.peer, station) if is_known else caller.peer
        now_s = self._clock.monotonic_s()
        if not self._failures.is_open(suspect, now_s):
            return _TOO_MANY_FAILURES
        security = await self._store.station_security(station)
        password = password_of(request.headers.get_all("Authorization"), station)
        objection = await self._objection(caller, station, password, security)
        if not is_known:
            self._failures.count(suspect, now_s)
            self._report_stranger(caller, station, negotiated, has_password=bool(password))
            return _UNKNOWN
        if objection is not None:
            self._failures.count(suspect, now_s)
            return self._refused(caller, station, objection)
        return self._downgrade(caller, station, security)

    async def _objection(
        self, caller: Caller, station: StationId, password: bytes | None, security: StationSecurity
    ) -> str | None:
        """Say why a station has not proved itself; None: it has."""
        profile = caller.listener.security_profile
        if profile == 0:
            return None
        if profile >= 3:
            if caller.certificate is None:
                return "it showed no certificate that can be read"
            accepted = [station, *filter(None, [security.certificate_name])]
            organisation = self._settings.tls.organisation if self._settings.tls else None
            return caller.certificate.objection(accepted, organisation, security.certificates_from)
        # One comparison for everybody, with and without a password, known or not.
        matches = await self._store.station_secret_matches(station, password or b"")
        return None if matches and password else "wrong or missing password"

    def _refused(self, caller: Caller, station: StationId, objection: str) -> Refusal:
        """Report a known station that did not prove itself."""
        by_certificate = caller.listener.security_profile >= 3
        mend = (
            f"Give it a certificate of its own with `wattkeeper ca issue {quote(station)}`, or bind "
            f"its name with `wattkeeper station certificate {quote(station)} --bind NAME`."
            if by_certificate
            else "Set the same password in the station (AuthorizationKey) and with "
            f"`wattkeeper station secret {quote(station)}`."
        )
        self._notices.begin(
            WRONG_CERTIFICATE if by_certificate else WRONG_PASSWORD,
            station,
            f"{station} was refused: {objection}, from {caller.peer}. {mend}",
            severity=Severity.ALARM,
            lasts_s=_HOUR_S,
        )
        self._audit(caller, station, objection)
        if by_certificate:
            return Refusal(status=http.HTTPStatus.FORBIDDEN, text="Wrong certificate.")
        return Refusal(status=http.HTTPStatus.UNAUTHORIZED, text="Wrong or missing password.")

    def _audit(self, caller: Caller, station: StationId, objection: str) -> None:
        """Write refusals into the audit log, a few a minute for each address."""
        now_s = self._clock.monotonic_s()
        if not self._audits.is_open(caller.peer, now_s):
            return
        self._audits.count(caller.peer, now_s)
        entry = AuditEntry(
            at=self._clock.now(),
            actor=caller.peer,
            action="station.refused",
            subject=station,
            after=objection,
        )
        self._spawn(self._store.audit(entry))

    def _downgrade(
        self, caller: Caller, station: StationId, security: StationSecurity
    ) -> Refusal | None:
        """Refuse less protection than the station has shown to be capable of, where it is offered."""
        profile = caller.listener.security_profile
        least = min(security.least_profile, self._settings.highest_profile)
        if profile >= least:
            return None
        self._notices.begin(
            SECURITY_DOWNGRADE,
            station,
            f"{station} was refused: it connects with security profile {profile} from "
            f"{caller.peer}, and has used profile {least} before. If that is meant, allow it with "
            f"`wattkeeper station profile {quote(station)} {profile}`.",
            severity=Severity.ALARM,
            lasts_s=_HOUR_S,
        )
        self._audit(caller, station, f"downgrade to security profile {profile}")
        return Refusal(
            status=http.HTTPStatus.FORBIDDEN,
            text=f"This station must connect with security profile {least}.",
        )

    def _report_stranger(
        self,
        caller: Caller,
        station: StationId,
        negotiated: Negotiated | None,
        *,
        has_password: bool,
    ) -> None:
        self._notices.begin(
            UNKNOWN_STATION,
            station,
            f"A station named {station} tries to connect from {caller.peer} and is not in the site "
            "file. If it belongs here, approve it in the dashboard, or add it under stations: and "
            f"set its password with `wattkeeper station secret {quote(station)}`.",
            severity=Severity.WARNING,
            lasts_s=_HOUR_S,
        )
        certificate = caller.certificate
        if negotiated is not None:
            self._on_stranger(
                Stranger(
                    identity=station,
                    peer=caller.peer,
                    protocol=negotiated.protocol,
                    security_profile=caller.listener.security_profile,
                    has_password=has_password,
                    certificate_names=certificate.names if certificate else frozenset(),
                )
            )

    # --- rate and duplicates ----------------------------------------------------------------------

    def _slow_down(self, station: StationId) -> Refusal | None:
        """Refuse a station that connects again and again."""
        if self._connects.is_open(station, self._clock.monotonic_s()):
            return None
        self._notices.begin(
            STATION_RECONNECTS,
            station,
            f"{station} connects more than {self._settings.connects_per_minute:g} times a minute: "
            "look for a second station with the same identity, or for a bad network.",
            severity=Severity.WARNING,
            lasts_s=_TEN_MINUTES_S,
        )
        return Refusal(
            status=http.HTTPStatus.TOO_MANY_REQUESTS, text="Too many connections; wait a minute."
        )

    async def _contest(self, peer: str, station: StationId) -> Refusal | None:
        """Refuse a second connection while the first one answers a ping.

        Some stations leave an old connection open, and their network stack answers its pings. From
        the same address, a station that comes again and again while nothing is said on the old
        connection therefore wins.
        """
        link = self._registry.get(station)
        if link is None or not await link.session.is_alive(self._settings.takeover_ping_s):
            return None
        frames = link.session.stats.frames
        insistence = self._insisting.get(station)
        if (
            insistence is None
            or insistence.generation != link.generation
            or insistence.frames != frames
        ):
            insistence = _Insistence(generation=link.generation, frames=frames)
            self._insisting[station] = insistence
        if link.peer == peer:
            insistence.attempts += 1
            if insistence.attempts >= _INSISTS_AFTER:
                return None
        self._connects.count(station, self._clock.monotonic_s())
        self._notices.begin(
            DUPLICATE_IDENTITY,
            station,
            f"A second station named {station} tries to connect from {peer} while the one at "
            f"{link.peer} is connected. Give each station its own identity; if there is only one, "
            "change its password.",
            severity=Severity.ALARM,
            lasts_s=_TEN_MINUTES_S,
        )
        return _DUPLICATE


def _throttle(per_minute: float, burst: int) -> Throttle:
    return Throttle(per_minute=per_minute, burst=burst, max_keys=_MAX_REMEMBERED)
