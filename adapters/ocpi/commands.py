"""Partners' commands: answered at once, carried out, and the outcome sent to the partner's address.

Source: OCPI 2.2.1 `mod_commands`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError

from adapters.ocpi.client import Ask, PartnerClient, PartnerError
from adapters.ocpi.control import ControlRoom
from adapters.ocpi.envelope import OcpiError, Status
from adapters.ocpi.guard import ForbiddenUrlError, Guard
from adapters.ocpi.ids import PublicIds
from adapters.ocpi.ledger import SessionLedger
from adapters.ocpi.locations import CONNECTOR
from adapters.ocpi.models.base import OcpiModel
from adapters.ocpi.models.commands import (
    CancelReservation,
    CommandResponse,
    CommandResponseType,
    CommandResult,
    CommandResultType,
    CommandType,
    ReserveNow,
    StartSession,
    StopSession,
    UnlockConnector,
)
from adapters.ocpi.models.sessions import AuthMethod
from adapters.ocpi.partners import Partner, PartnerBook
from adapters.ocpi.registration import first_fault
from adapters.ocpi.reservations import Reservations
from adapters.ocpi.tokens import OwnedToken, TokenBook, Verdict
from controller import commands as control
from controller.commands import ActionRequest, StationAction
from controller.ports import Clock
from controller.records import TokenStatus
from controller.site import Evse, Site
from controller.station import EvseState

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=OcpiModel)

TIMEOUT_S = 30
LONGEST_RESERVATION = timedelta(days=1)
MOST_PENDING = 50
"""Commands under way of all partners; more are refused."""
FREE = frozenset({EvseState.AVAILABLE, EvseState.CONNECTED, EvseState.RESERVED, EvseState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command that was accepted."""

    partner: Partner
    response_url: str
    request: ActionRequest


class Commander:
    """Takes commands."""

    def __init__(
        self,
        *,
        site: Site,
        ids: PublicIds,
        room: ControlRoom,
        client: PartnerClient,
        guard: Guard,
        partners: PartnerBook,
        tokens: TokenBook,
        ledger: SessionLedger,
        clock: Clock,
        reservations: Reservations,
    ) -> None:
        self._site = site
        self._ids = ids
        self._room = room
        self._client = client
        self._guard = guard
        self._partners = partners
        self._tokens = tokens
        self._ledger = ledger
        self._clock = clock
        self._reservations = reservations
        self._jobs: set[asyncio.Task[None]] = set()

    async def take(self, partner: Partner, command: str, body: Any) -> CommandResponse:
        """Answer a command at once; what was accepted goes on by itself.

        Raises:
            OcpiError: The body is not valid, or its address must not be called.
        """
        if command not in CommandType.__members__:
            raise OcpiError(Status.INVALID_PARAMETERS, f"there is no command {command[:40]}")
        if len(self._jobs) >= MOST_PENDING:
            return _response(CommandResponseType.REJECTED)
        match CommandType(command):
            case CommandType.START_SESSION:
                return await self._start(partner, _read(StartSession, body))
            case CommandType.STOP_SESSION:
                return await self._stop(partner, _read(StopSession, body))
            case CommandType.UNLOCK_CONNECTOR:
                return await self._unlock(partner, _read(UnlockConnector, body))
            case CommandType.RESERVE_NOW:
                return await self._reserve(partner, _read(ReserveNow, body))
            case CommandType.CANCEL_RESERVATION:
                return await self._cancel(partner, _read(CancelReservation, body))

    async def close(self) -> None:
        """Let go of what is under way."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _start(self, partner: Partner, wanted: StartSession) -> CommandResponse:
        self.check_url(partner, wanted.response_url)
        token = wanted.token
        if not partner.owns(token.country_code, token.party_id):
            raise OcpiError(Status.INVALID_PARAMETERS, "token: it is another party's")
        evse = self._chosen(wanted)
        if evse is None or not token.valid:
            return _response(CommandResponseType.REJECTED)
        await self._tokens.put(token, partner.id)
        verdict = Verdict(
            status=TokenStatus.ACCEPTED, owned=OwnedToken(token=token, partner=partner.id)
        )
        self._ledger.expect(
            verdict, method=AuthMethod.COMMAND, reference=wanted.authorization_reference
        )
        request = ActionRequest(
            station=evse.station,
            evse=evse.id,
            action=StationAction.START,
            argument=token.uid,
        )
        return self._accepted(
            Job(partner=partner, response_url=wanted.response_url, request=request)
        )

    async def _stop(self, partner: Partner, wanted: StopSession) -> CommandResponse:
        self.check_url(partner, wanted.response_url)
        transaction = await self._ledger.transaction_of(partner.id, wanted.session_id)
        if transaction is None:
            return _response(CommandResponseType.UNKNOWN_SESSION)
        request = ActionRequest(
            station=transaction.station,
            evse=transaction.evse,
            action=StationAction.STOP,
            argument=transaction.id,
        )
        return self._accepted(
            Job(partner=partner, response_url=wanted.response_url, request=request)
        )

    async def _unlock(self, partner: Partner, wanted: UnlockConnector) -> CommandResponse:
        """Unlock where the partner's own customer charges, and nowhere else."""
        self.check_url(partner, wanted.response_url)
        evse = self._ids.evse(wanted.evse_uid)
        if evse is None or wanted.connector_id != CONNECTOR:
            raise OcpiError(Status.UNKNOWN_LOCATION, "evse_uid: there is no such EVSE")
        if not await self._is_theirs(partner, evse):
            return _response(CommandResponseType.REJECTED)
        request = ActionRequest(station=evse.station, evse=evse.id, action=StationAction.UNLOCK)
        return self._accepted(
            Job(partner=partner, response_url=wanted.response_url, request=request)
        )

    async def _reserve(self, partner: Partner, wanted: ReserveNow) -> CommandResponse:
        """Keep a place for a partner's customer, a day at most."""
        self.check_url(partner, wanted.response_url)
        token, now = wanted.token, self._clock.now()
        if not partner.owns(token.country_code, token.party_id):
            raise OcpiError(Status.INVALID_PARAMETERS, "token: it is another party's")
        if not now < wanted.expiry_date <= now + LONGEST_RESERVATION:
            raise OcpiError(
                Status.INVALID_PARAMETERS, "expiry_date: it lies in the past, or beyond a day"
            )
        evse = self._chosen(wanted)
        if evse is None or not token.valid:
            return _response(CommandResponseType.REJECTED)
        await self._tokens.put(token, partner.id)
        held = await self._reservations.hold(partner.id, wanted.reservation_id, evse.id, now)
        request = ActionRequest(
            station=evse.station,
            evse=evse.id,
            action=StationAction.RESERVE,
            parameters={
                "reservation_id": held.number,
                "expires_at": wanted.expiry_date.isoformat(),
                "id_token": token.uid,
            },
        )
        return self._accepted(
            Job(partner=partner, response_url=wanted.response_url, request=request)
        )

    async def _cancel(self, partner: Partner, wanted: CancelReservation) -> CommandResponse:
        self.check_url(partner, wanted.response_url)
        held = await self._reservations.find(partner.id, wanted.reservation_id)
        evse = self._site.evse(held.evse) if held is not None else None
        if held is None or evse is None:
            return _response(CommandResponseType.REJECTED)
        request = ActionRequest(
            station=evse.station,
            evse=evse.id,
            action=StationAction.CANCEL_RESERVATION,
            parameters={"reservation_id": held.number},
        )
        return self._accepted(
            Job(partner=partner, response_url=wanted.response_url, request=request)
        )

    async def _is_theirs(self, partner: Partner, evse: Evse) -> bool:
        plan = self._room.plan()
        status = plan.evses.get(evse.id) if plan is not None else None
        if status is None or status.id_token is None:
            return False
        return any(o.partner == partner.id for o in await self._tokens.find(status.id_token))

    def _chosen(self, wanted: StartSession | ReserveNow) -> Evse | None:
        """Return the EVSE that was named, or the first that is free."""
        if wanted.location_id != self._site.id[:36]:
            raise OcpiError(Status.UNKNOWN_LOCATION, "location_id: there is no such location")
        if wanted.evse_uid is not None:
            evse = self._ids.evse(wanted.evse_uid)
            if evse is None:
                raise OcpiError(Status.UNKNOWN_LOCATION, "evse_uid: there is no such EVSE")
            return evse if self._is_free(evse) else None
        return next((e for e in self._site.evses() if self._is_free(e)), None)

    def _is_free(self, evse: Evse) -> bool:
        plan = self._room.plan()
        status = plan.evses.get(evse.id) if plan is not None else None
        return (
            status is not None
            and status.connected
            and status.transaction is None
            and status.state in FREE
        )

    def check_url(self, partner: Partner, url: str) -> None:
        """Check that an outcome goes to the partner's own hosts.

        Raises:
            OcpiError: It would go elsewhere.
        """
        try:
            self._guard.check(url, hosts=frozenset(partner.hosts))
        except ForbiddenUrlError as error:
            raise OcpiError(Status.INVALID_PARAMETERS, f"response_url: {error}") from error

    def _accepted(self, job: Job) -> CommandResponse:
        task = asyncio.create_task(self._carry_out(job), name="ocpi-command")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return _response(CommandResponseType.ACCEPTED)

    async def _carry_out(self, job: Job) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await self._room.act(job.request, f"ocpi:{job.partner.id}")
        except TimeoutError:
            result = control.TimedOut()
        outcome = CommandResult(result=outcome_of(job.request.action, result))
        try:
            await self._client.ask(
                job.partner, Ask(method="POST", url=job.response_url, body=outcome.as_json())
            )
        except PartnerError as error:
            log.warning("ocpi.outcome_not_delivered", partner=job.partner.id, error=str(error))
            await self._partners.note_error(
                job.partner.id, f"outcome of a command: {error}", self._clock.now()
            )


def outcome_of(action: StationAction, result: control.CommandResult) -> CommandResultType:
    """Say how a command ended; a cancelled reservation has a word of its own."""
    ended = result_of(result)
    is_cancelled = action is StationAction.CANCEL_RESERVATION
    if is_cancelled and ended is CommandResultType.ACCEPTED:
        return CommandResultType.CANCELED_RESERVATION
    if is_cancelled and ended is CommandResultType.REJECTED:
        return CommandResultType.UNKNOWN_RESERVATION
    return ended


def result_of(result: control.CommandResult) -> CommandResultType:
    """Say how a command ended in OCPI's words."""
    match result:
        case control.Applied():
            return CommandResultType.ACCEPTED
        case control.Rejected():
            return CommandResultType.REJECTED
        case control.TimedOut():
            return CommandResultType.TIMEOUT
        case control.NotConnected():
            return CommandResultType.EVSE_INOPERATIVE


def _response(result: CommandResponseType) -> CommandResponse:
    return CommandResponse(result=result, timeout=TIMEOUT_S)


def _read(model: type[M], body: Any) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise OcpiError(Status.INVALID_PARAMETERS, first_fault(error)) from error
