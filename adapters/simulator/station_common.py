"""What simulated stations of both protocols share: connection, sessions, limits and the clock.

A station is a client of the controller and nothing else: it knows the messages it got and the
power electronics it drives. One `tick` per second serves all its EVSEs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar

from adapters.simulator.admission import refusal
from adapters.simulator.firmware import Firmware, Order
from adapters.simulator.link import CallRefusedError, Json, Link, SilenceError
from adapters.simulator.outbox import Message, Outbox
from adapters.simulator.outlet import Outlet, RemoteStart, StopReason, Transaction, Trigger
from adapters.simulator.profiles import Demand, Profile, ProfileStore
from adapters.simulator.samples import Sample, samples, split
from adapters.simulator.setup import Setup
from adapters.simulator.uplink import BACKOFF_MAX_S, Dial, Uplink
from adapters.simulator.uptime import Uptime
from adapters.simulator.vehicle import PluggedVehicle

AUTHORISE_AFTER_S = 1.0
"""From plugging in to presenting the card. [s]"""
TOLERANCE_S = 1.0
"""By how much a sample may be late without moving all later ones. [s]"""
_PHASES_OF_WATTS = 3

Handler = Callable[[Json], Json]


class VirtualStation(ABC):
    """A charging station on the wire."""

    subprotocol: ClassVar[str]

    def __init__(self, setup: Setup) -> None:
        station = setup.station
        self.id = station.id
        self.outlets = {n: Outlet(n, charger) for n, charger in sorted(setup.chargers.items())}
        self.store = ProfileStore(voltage_v=setup.voltage_v)
        self.habits = setup.habits
        self.outbox = Outbox()
        self.now_s = 0.0
        """The station's clock: Unix time and its skew. [s]"""
        self.password = setup.password
        self._tls = setup.tls
        self._url = f"{setup.url.rstrip('/')}/{station.id}"
        self._voltage_v = setup.voltage_v
        self.random = Random(f"{setup.seed}/{station.id}")
        self._uplink = Uplink(
            dial=self._dial,
            outbox=self.outbox,
            handler=self._handle,
            answer_after_s=self._answer_after_s,
            greet=self._greet,
            random=self.random,
        )
        self._is_booted = False
        self._was_accepted = False
        self._heartbeat_s = 300.0
        self._next_heartbeat_s = 0.0
        self._uptime = Uptime()
        self._clock_slot = 0.0
        self.firmware = Firmware(self._tell_firmware)
        self._handlers = self.handlers()

    # What the protocols differ in.

    @abstractmethod
    def handlers(self) -> Mapping[str, Handler]:
        """Return what answers each action of the controller."""

    @abstractmethod
    def boot(self) -> Json:
        """Return the payload of BootNotification."""

    @abstractmethod
    def report_status(self, outlet: Outlet) -> None:
        """Send the status of an EVSE."""

    def report_all(self) -> None:
        """Send the status of all EVSEs."""
        for outlet in self.outlets.values():
            self.report_status(outlet)

    @abstractmethod
    def authorise(self, outlet: Outlet, card: str) -> None:
        """Ask the controller about a card; `authorised` hears the answer."""

    @abstractmethod
    def report_started(self, outlet: Outlet, transaction: Transaction) -> None:
        """Send the begin of a transaction."""

    @abstractmethod
    def report_sample(self, outlet: Outlet, context: str) -> None:
        """Send meter values of an EVSE; in a transaction as a part of it."""

    @abstractmethod
    def report_ended(self, outlet: Outlet, transaction: Transaction, reason: StopReason) -> None:
        """Send the end of a transaction."""

    @abstractmethod
    def report_charging_state(self, outlet: Outlet, transaction: Transaction) -> None:
        """Send how a running transaction goes on, where the protocol has a message for it."""

    @abstractmethod
    def setting(self, name: str) -> str:
        """Return a setting by its name in OCPP 1.6."""

    # Connection.

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a connection to the controller."""
        return self._uplink.is_connected

    async def run(self) -> None:
        """Stay connected to the controller, for ever."""
        await self._uplink.run()

    def drop_connection(self) -> None:
        """Lose the connection without a word, as a pulled cable does."""
        self._uplink.drop()

    def _dial(self) -> Dial | None:
        if self.is_down:
            return None
        return Dial(
            url=self._url,
            subprotocol=self.subprotocol,
            user=self.id,
            password=self.password,
            ping_interval_s=float(self.setting("WebSocketPingInterval")),
            tls=self._tls,
        )

    def _answer_after_s(self) -> float:
        return self.habits.slow_answer_s

    def _handle(self, action: str, payload: Json) -> Json:
        if self.habits.no_answer:
            raise SilenceError
        handler = self._handlers.get(action)
        if handler is None or (action == "TriggerMessage" and self.habits.no_trigger):
            raise CallRefusedError("NotImplemented", action)
        answer = handler(payload)
        if self.habits.loses_answers:
            raise SilenceError
        return answer

    async def _greet(self, link: Link) -> None:
        if not self._is_booted or self.habits.boots_on_reconnect:
            await self._boot(link)
        self.report_all()

    async def _boot(self, link: Link) -> None:
        while True:
            answer = await link.call("BootNotification", self.boot())
            self._heartbeat_s = float(answer.get("interval") or self._heartbeat_s)
            if answer.get("status") == "Accepted":
                break
            await asyncio.sleep(min(self._heartbeat_s, BACKOFF_MAX_S))
        self._is_booted = self._was_accepted = True
        self._next_heartbeat_s = self.now_s + self._heartbeat_s
        for outlet in self.outlets.values():
            if outlet.is_plugged and outlet.transaction is None and not outlet.has_ended:
                outlet.authorise_at_s = self.now_s + AUTHORISE_AFTER_S

    # Time.

    @property
    def is_down(self) -> bool:
        """Tell whether the station is rebooting or has no supply."""
        return self._uptime.is_down(self.now_s)

    def tick(self, time_s: float) -> None:
        """Let the station look at its EVSEs and its clock.

        Args:
            time_s: Unix time. [s]
        """
        self.now_s = time_s + self.habits.clock_skew_s
        is_powered = any(outlet.charger.powered for outlet in self.outlets.values())
        every_s = self.habits.reboots_every_s
        if self._uptime.must_reboot(self.now_s, is_powered=is_powered, every_s=every_s):
            self.reboot()
        for outlet in self.outlets.values():
            self._follow(outlet)
        self._limit()
        self._heartbeat()
        self._sample_by_clock()
        self._update()

    def _tell_firmware(self, status: str, request_id: int | None) -> None:
        payload: Json = {"status": status}
        if request_id is not None:
            payload["requestId"] = request_id
        self.outbox.put(Message(action="FirmwareStatusNotification", build=lambda: payload))

    def update_firmware(self, location: str, request_id: int | None = None) -> None:
        """Begin an update, as the controller asked."""
        order = Order(
            location=location,
            request_id=request_id,
            at_s=self.now_s,
            was_charging=self._is_charging,
        )
        self.firmware.order(order)

    @property
    def _is_charging(self) -> bool:
        return any(outlet.transaction is not None for outlet in self.outlets.values())

    def _update(self) -> None:
        """Go on with an update; what it tells waits until the station is back and let in."""
        if self.is_down or not self._is_booted:
            return
        if self.firmware.tick(self.now_s, is_charging=self._is_charging):
            self.reboot()

    def reboot(self) -> None:
        """Go down and boot again; transactions survive."""
        self._uptime.go_down(self.now_s)
        self._is_booted = False
        if self.habits.forgets_profiles:
            self.store.clear(lambda _: True)
        self.drop_connection()

    def reset_soon(self, reason: StopReason) -> None:
        """End all transactions, and reboot when this could be told."""
        for outlet in self.outlets.values():
            self.end(outlet, reason)
            outlet.has_ended = False
        self._uptime.reset_soon(self.now_s)

    def _heartbeat(self) -> None:
        if not self.is_connected or self.now_s < self._next_heartbeat_s or not self._is_booted:
            return
        self._next_heartbeat_s = self.now_s + self._heartbeat_s
        self.outbox.put(Message(action="Heartbeat", build=dict))

    def set_heartbeat(self, interval_s: float) -> None:
        """Change the interval of heartbeats. [s]"""
        self._heartbeat_s = interval_s
        self._next_heartbeat_s = self.now_s + interval_s

    def _sample_by_clock(self) -> None:
        interval_s = float(self.setting("ClockAlignedDataInterval"))
        if interval_s <= 0:
            return
        slot = self.now_s // interval_s
        if slot != self._clock_slot and self._clock_slot:
            for outlet in self.outlets.values():
                self.report_sample(outlet, "Sample.Clock")
        self._clock_slot = slot

    # Sessions.

    def _follow(self, outlet: Outlet) -> None:
        """Bring a session up to what has happened at the EVSE."""
        vehicle = outlet.charger.plugged
        if vehicle is not outlet.vehicle:
            if outlet.vehicle is not None:
                self._unplugged(outlet)
            if vehicle is not None:
                self._plugged_in(outlet, vehicle)
        remote = outlet.remote_start
        if remote is not None and self.now_s >= remote.until_s:
            outlet.remote_start = None
        if outlet.authorise_at_s is not None and self.now_s >= outlet.authorise_at_s:
            self._present_card(outlet)
        self._follow_transaction(outlet)
        if outlet.reported is not None and outlet.reported != self.status_name(outlet):
            self.report_status(outlet)

    def status_name(self, outlet: Outlet) -> str:
        """Return the status of an EVSE as the protocol names it."""
        return outlet.status.value

    def _plugged_in(self, outlet: Outlet, vehicle: PluggedVehicle) -> None:
        outlet.vehicle = vehicle
        outlet.has_ended = False
        remote = outlet.remote_start
        if remote is not None:
            self.start(outlet, remote)
        elif vehicle.vehicle.card is not None:
            outlet.authorise_at_s = self.now_s + AUTHORISE_AFTER_S

    def _unplugged(self, outlet: Outlet) -> None:
        outlet.vehicle = None
        outlet.authorise_at_s = None
        self.end(outlet, StopReason.UNPLUGGED)
        outlet.has_ended = False

    def _present_card(self, outlet: Outlet) -> None:
        outlet.authorise_at_s = None
        card = outlet.vehicle.vehicle.card if outlet.vehicle else None
        if card is None or outlet.transaction is not None or not outlet.is_operative:
            return
        if self.is_connected and self._is_booted:
            self.authorise(outlet, card)
        elif self.is_connected or self.is_down or not self._was_accepted:
            # It has not been let in yet: only a station that was may charge on its own.
            self.try_again(outlet)
        else:
            self._begin(outlet, card, Trigger.CARD)

    def authorised(self, outlet: Outlet, card: str, status: str) -> None:
        """Hear what the controller says about a card."""
        if status == "Accepted" and outlet.is_plugged and outlet.transaction is None:
            self._begin(outlet, card, Trigger.CARD)

    def try_again(self, outlet: Outlet) -> None:
        """Present a card again: it could not be asked about, or the answer was lost."""
        outlet.authorise_at_s = self.now_s + AUTHORISE_AFTER_S

    def start(self, outlet: Outlet, remote: RemoteStart) -> None:
        """Start a transaction from afar, now or when a vehicle comes."""
        outlet.remote_start = remote
        if outlet.is_plugged and outlet.transaction is None:
            outlet.remote_start = None
            self._begin(outlet, remote.card, Trigger.REMOTE, remote.remote_start_id)
            if remote.profile is not None:
                self.store.add(remote.profile)

    def _begin(
        self, outlet: Outlet, card: str, trigger: Trigger, remote_start_id: int | None = None
    ) -> None:
        transaction = Transaction(
            id=self.new_transaction_id(),
            card=card,
            trigger=trigger,
            start_s=self.now_s,
            meter_start_wh=int(outlet.charger.energy_wh),
            remote_start_id=remote_start_id,
        )
        outlet.transaction = transaction
        outlet.authorise_at_s = None
        outlet.has_ended = False
        outlet.sampled_s = float("-inf")
        outlet.reported_charging = outlet.charger.state
        self.report_started(outlet, transaction)

    def new_transaction_id(self) -> str:
        """Return the id of a new transaction; empty where the controller gives it."""
        return ""

    def end(self, outlet: Outlet, reason: StopReason) -> None:
        """End a transaction, if there is one."""
        transaction = outlet.transaction
        if transaction is None:
            return
        outlet.transaction = None
        outlet.has_ended = True
        outlet.charger.permitted = False
        self.report_ended(outlet, transaction, reason)
        self.store.end_transaction(outlet.number)
        if outlet.becomes_inoperative:
            outlet.becomes_inoperative = False
            outlet.is_operative = False

    def change_availability(self, outlet: Outlet, operative: bool) -> bool:
        """Take an EVSE in or out of service and tell whether that has to wait."""
        if not operative and outlet.transaction is not None:
            outlet.becomes_inoperative = True
            return True
        outlet.becomes_inoperative = False
        outlet.is_operative = operative
        return False

    def _follow_transaction(self, outlet: Outlet) -> None:
        transaction = outlet.transaction
        if transaction is None:
            return
        if transaction.is_refused:
            self.end(outlet, StopReason.REFUSED)
            return
        state = outlet.charger.state
        if state is not outlet.reported_charging:
            outlet.reported_charging = state
            self.report_charging_state(outlet, transaction)
        interval_s = float(self.setting("MeterValueSampleInterval"))
        if interval_s > 0 and self.now_s >= outlet.sampled_s + interval_s:
            outlet.sampled_s = max(outlet.sampled_s + interval_s, self.now_s - TOLERANCE_S)
            self.report_sample(outlet, "Sample.Periodic")

    # Limits.

    def _limit(self) -> None:
        """Tell the power electronics what the profiles allow now."""
        for outlet in self.outlets.values():
            outlet.limit_a = self.store.limit_a(self.demand(outlet), self.now_s, self.habits)
            outlet.charger.limit_a = outlet.limit_a
            outlet.charger.permitted = outlet.transaction is not None and not self.is_down

    def demand(self, outlet: Outlet) -> Demand:
        """Return whose limit is to be found."""
        busy = sum(other.transaction is not None for other in self.outlets.values())
        transaction = outlet.transaction
        return Demand(
            evse=outlet.number,
            rating_a=outlet.charger.evse.max_a,
            tx_start_s=None if transaction is None else transaction.start_s,
            sharing=max(1, busy),
        )

    def refusal(self, profile: Profile) -> str | None:
        """Return why a profile is not taken; None: it is."""
        return refusal(profile, outlets=self.outlets, store=self.store, habits=self.habits)

    def in_unit(self, limit_a: float, unit: str) -> float:
        """Express a limit per phase in a charging rate unit."""
        return limit_a if unit == "A" else limit_a * self._voltage_v * _PHASES_OF_WATTS

    # Meter values.

    def measure(self, outlet: Outlet, setting: str) -> list[Sample]:
        """Read the meter of an EVSE for the measurands that a setting lists."""
        if self.habits.silent_meter:
            return []
        return samples(
            outlet.charger,
            split(self.setting(setting)),
            limit_a=outlet.limit_a,
            voltage_v=self._voltage_v,
        )
