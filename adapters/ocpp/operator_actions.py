"""Carries out what operators ask of one connected station, besides limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from adapters.ocpp.actions import Asked, ParameterError, Writer
from adapters.ocpp.batching import is_large, split
from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.configuration import ITEMS, KEYS, MOST_NAMES, Outcome, Talk
from adapters.ocpp.dialect import Caller, CallFailed
from adapters.ocpp.guard import OURS, is_ours, refusal
from adapters.ocpp.intake import Intake
from adapters.ocpp.limiter import result_of
from adapters.ocpp.provisioning import Answer, Request
from adapters.ocpp.schemas import check_outbound
from adapters.ocpp.translation import DialectSettings
from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    Rejected,
    StationAction,
    TimedOut,
)
from controller.ports import Clock
from controller.site import EvseId, evse_id

log = structlog.get_logger(__name__)

ACCEPTING = frozenset(
    {"Accepted", "AcceptedCanceled", "Unlocked", "Scheduled", "RebootRequired", "EmptyResultSet"}
)
"""Answers that mean yes, of all actions; an answer without a status is one too."""
ENDS_LIMITS = frozenset({"ClearChargingProfile"})
"""Messages after which the fallback is put back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """How one version writes what operators ask."""

    actions: Mapping[StationAction, Writer]
    read: Callable[..., Talk]
    write: Callable[[Mapping[str, str], Capabilities], Talk]
    reads_all: bool
    """Whether reading without names reads everything (1.6)."""


class OperatorActions:
    """One connection."""

    def __init__(
        self,
        caller: Caller,
        *,
        intake: Intake,
        clock: Clock,
        settings: DialectSettings,
        capabilities: Capabilities,
        maintenance: Maintenance,
        restore: Callable[[], Awaitable[None]],
        keep_wanted: Callable[[Mapping[str, str], bool], Awaitable[None]],
        wanted: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> None:
        self._caller = caller
        self._intake = intake
        self._clock = clock
        self._settings = settings
        self._capabilities = capabilities
        self._maintenance = maintenance
        self._restore = restore
        self._keep_wanted = keep_wanted
        self._wanted = wanted

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an action within the command timeout."""
        try:
            async with asyncio.timeout(self._settings.command_timeout_s):
                return await self._carry_out(request)
        except ParameterError as error:
            return Rejected(reason=str(error))
        except TimeoutError:
            return TimedOut()
        except CallFailed as failed:
            return result_of(failed)

    async def _carry_out(self, request: ActionRequest) -> CommandResult:
        match request.action:
            case StationAction.CALL:
                return await self._relay(request)
            case StationAction.READ_CONFIGURATION:
                return await self._read(request)
            case StationAction.WRITE_CONFIGURATION:
                return await self._write(request)
            case StationAction.UPDATE_FIRMWARE if self._intake.running_transactions():
                return Rejected(reason="a transaction runs; firmware is never changed during one")
            case StationAction.TRIGGER_METER_VALUES if not self._capabilities.takes_triggers:
                return Rejected(reason="this station takes no TriggerMessage")
            case _:
                return await self._perform(request)

    async def _perform(self, request: ActionRequest) -> CommandResult:
        writer = self._maintenance.actions.get(request.action)
        if writer is None:
            return Rejected(reason=f"{request.action.value} is nothing this OCPP version knows")
        written = writer(self._asked(request))
        answer = await self._caller.call(written.action, written.payload)
        status = str(answer.get("status", ""))
        if status and status not in ACCEPTING:
            return Rejected(reason=status)
        number = written.payload.get("requestId")
        return Applied(
            self_expiring=False,
            answer=answer if number is None else {"requestId": number, **answer},
        )

    def _asked(self, request: ActionRequest) -> Asked:
        evse = request.evse
        return Asked(
            connector=None if evse is None else _number(evse),
            argument=request.argument.strip(),
            parameters=request.parameters,
            running=None if evse is None else self._intake.running(evse),
            now=self._clock.now(),
        )

    # --- any message

    async def _relay(self, request: ActionRequest) -> CommandResult:
        """Send a message as it is; whatever the station answers is the result."""
        action = str(request.parameters.get("message", ""))
        payload = request.parameters.get("payload")
        if not isinstance(payload, Mapping):
            raise ParameterError("payload: give the message's payload as an object")
        checked = check_outbound(self._caller.protocol, action, dict(payload))
        if checked.fault is not None:
            raise ParameterError(f"{action[:40]}: {checked.fault.description}")
        number = payload.get("connectorId", payload.get("evseId", 0))
        reason = refusal(
            action,
            payload,
            fallback_a=self._lowest_fallback_a(number if isinstance(number, int) else 0),
            wiring=self._settings.wiring(evse_id(self._caller.station, number)),
        )
        if reason is not None:
            raise ParameterError(reason)
        if is_large(action, payload) and not self._maintenance.reads_all:
            return await self._converse(split(action, payload))
        answer = await self._caller.call(action, dict(payload))
        if action in ENDS_LIMITS:
            await self._restore()
        return Applied(self_expiring=False, answer=answer)

    def _lowest_fallback_a(self, number: int) -> float:
        desk = self._intake.desk
        evses = desk.evses(self._caller.station) or ()
        named = [e for e in evses if number in (0, _number(e))]
        return min((desk.fallback_a(e) or 0.0 for e in named), default=0.0)

    # --- configuration

    async def _read(self, request: ActionRequest) -> CommandResult:
        names = request.parameters.get("names") or []
        wanted = await self._wanted()
        if not names and not self._maintenance.reads_all:
            names = list(wanted)
        if not names and not self._maintenance.reads_all:
            raise ParameterError("names: give the variables to read, or ask for a report")
        if len(names) > MOST_NAMES:
            raise ParameterError(f"names: give at most {MOST_NAMES}")
        is_keys = self._maintenance.reads_all
        per_message = self._capabilities.items_per_read or (KEYS if is_keys else ITEMS)
        found = await self._outcome(
            self._maintenance.read([str(n) for n in names], per_message=per_message)
        )
        shown = {n: v for n, v in wanted.items() if not names or n in names}
        return Applied(
            self_expiring=False, answer={**found.as_answer(), "wanted": found.beside(shown)}
        )

    async def _write(self, request: ActionRequest) -> CommandResult:
        values = request.parameters.get("values")
        if not isinstance(values, Mapping) or not 1 <= len(values) <= MOST_NAMES:
            raise ParameterError(f"values: give 1 to {MOST_NAMES} names with their values")
        wanted = {str(n): str(v) for n, v in values.items()}
        payloads = [{"key": n.rpartition(".")[2], "value": v} for n, v in wanted.items()]
        for payload in payloads:
            reason = refusal("", payload, fallback_a=0.0, wiring=self._settings.wiring(EvseId("")))
            if reason is not None:
                raise ParameterError(reason)
        result = await self._converse(self._maintenance.write(wanted, self._capabilities))
        await self._keep_wanted(wanted, request.parameters.get("keep") is True)
        return result

    async def reconcile(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Write what differs from the wanted configuration.

        Returns:
            What could not be brought to the wanted value, with the reason.
        """
        found = await self._outcome(
            self._maintenance.read(
                list(wanted), per_message=self._capabilities.items_per_read or ITEMS
            )
        )
        differing = {n: v for n, v in wanted.items() if found.values.get(n) != v}
        limit_key = self._capabilities.quirks.limit_key
        ours = {n: OURS for n, v in differing.items() if is_ours(n, v, limit_key=limit_key)}
        allowed = {n: v for n, v in differing.items() if n not in ours}
        if not allowed:
            return ours
        written = await self._outcome(self._maintenance.write(allowed, self._capabilities))
        return ours | dict(written.failures)

    async def _converse(self, talk: Talk) -> CommandResult:
        outcome = await self._outcome(talk)
        return Applied(self_expiring=False, answer=outcome.as_answer())

    async def _outcome(self, talk: Talk) -> Outcome:
        """Ask question after question; one without an answer spoils only its own names."""
        try:
            step: Request = next(talk)
            while True:
                step = talk.send(await self._ask(step))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    async def _ask(self, request: Request) -> Answer:
        try:
            return Answer(payload=await self._caller.call(request.action, request.payload))
        except CallFailed as failed:
            if failed.kind == "closed":
                raise
            return Answer(failure=failed)


def _number(evse: EvseId) -> int:
    return int(evse.rpartition("/")[2])
