"""A relay of the grid operator at a Modbus I/O module: its contact, its broken wire, its silent module."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.bootstrap import RunningController, RunSettings
from adapters.gridrelay import LOST, GridRelay, RelaySettings
from adapters.http.settings import HttpSettings
from adapters.modbus.contact import Contact, ContactPlace, Module
from adapters.ocpp.settings import OcppSettings
from controller.errors import ContactLostError
from controller.policy import Policy
from controller.site import CircuitId
from tests.adapters.modbus.hostile import Asked, HostileMeter, exception
from tests.adapters.ocpp.rig import until
from tests.controller.builders import a_circuit, a_site
from tests.controller.test_planning import MAIN, Scene, a_scene
from tests.fakes.memory_store import MemoryStore

SIGNAL = "relay-dso"
SETTINGS = RelaySettings(id="dso", circuit=MAIN, limit_w=4200.0)


@dataclass
class Switch:
    """A contact that the test turns."""

    closed: bool = True
    fault: str = ""
    raises: type[Exception] = ContactLostError
    is_let_go: bool = False

    async def is_closed(self) -> bool:
        if self.fault:
            raise self.raises(self.fault)
        return self.closed

    async def close(self) -> None:
        self.is_let_go = True


@dataclass
class Relay:
    """A relay on a real planner."""

    scene: Scene
    contact: Switch
    relay: GridRelay

    async def passes(self, seconds: float) -> None:
        for _ in range(round(2.0 * seconds)):
            self.scene.clock.pass_time(0.5)
            await self.relay.look()

    @property
    def limit_w(self) -> float | None:
        """The limit in force. [W]"""
        return self.scene.limit_w(SIGNAL)

    def is_told(self) -> bool:
        return LOST in self.scene.codes()


def play(
    body: Callable[[Relay], Awaitable[None]],
    *,
    settings: RelaySettings = SETTINGS,
    store: MemoryStore | None = None,
) -> None:
    async def whole() -> None:
        scene = a_scene(store=store)
        await scene.planning.restore()
        contact = Switch()
        relay = GridRelay(
            settings,
            contact=contact,
            signals=scene.planning,
            conditions=scene.alarms,
            clock=scene.clock,
        )
        await body(Relay(scene, contact, relay))
        await scene.planning.stop()

    asyncio.run(whole())


def test_an_open_contact_limits_at_once_and_a_closed_one_lifts_it() -> None:
    async def body(site: Relay) -> None:
        await site.passes(60.0)
        assert site.limit_w is None
        site.contact.closed = False
        await site.passes(0.5)
        assert (site.limit_w, site.is_told()) == (4200.0, False)
        await site.passes(4 * 3600.0)
        assert site.limit_w == 4200.0, "for as long as it is open"
        site.contact.closed = True
        await site.passes(5.0)
        assert site.limit_w is None

    play(body)


def test_a_bouncing_contact_lifts_nothing() -> None:
    async def body(site: Relay) -> None:
        for _ in range(20):
            site.contact.closed = False
            await site.passes(0.5)
            site.contact.closed = True
            await site.passes(2.0)
            assert site.limit_w == 4200.0

    play(body)


def test_a_silent_module_counts_as_a_relay_that_limits() -> None:
    async def body(site: Relay) -> None:
        await site.passes(10.0)
        site.contact.fault = "no answer; check power"
        await site.passes(4.0)
        assert (site.limit_w, site.is_told()) == (None, False)
        await site.passes(1.0)
        assert (site.limit_w, site.is_told()) == (4200.0, True)
        told = [a.condition for a in site.scene.alarms.active()]
        text = next(c.text for c in told if c.code == LOST)
        assert "no answer; check power" in text
        site.contact.fault = ""
        await site.passes(5.0)
        assert (site.limit_w, site.is_told()) == (None, False)

    play(body)


def test_a_defect_of_the_reading_limits_like_a_silent_module() -> None:
    async def body(site: Relay) -> None:
        await site.passes(10.0)
        site.contact.fault, site.contact.raises = "broken on purpose", RuntimeError
        await site.passes(5.0)
        assert (site.limit_w, site.is_told()) == (4200.0, True)

    play(body)


def test_the_connection_is_let_go_when_nobody_follows_any_more() -> None:
    async def body(site: Relay) -> None:
        following = asyncio.create_task(site.relay.follow())
        await asyncio.sleep(0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert site.contact.is_let_go

    play(body)


def test_a_contact_that_is_open_at_rest_limits_when_it_closes() -> None:
    async def body(site: Relay) -> None:
        site.contact.closed = False
        await site.passes(10.0)
        assert site.limit_w is None
        site.contact.closed = True
        await site.passes(0.5)
        assert site.limit_w == 4200.0

    play(
        body,
        settings=RelaySettings(id="dso", circuit=MAIN, limit_w=4200.0, is_closed_at_rest=False),
    )


def test_a_limit_that_somebody_lifts_or_a_restart_finds_follows_the_contact() -> None:
    store = MemoryStore()

    async def opened(site: Relay) -> None:
        site.contact.closed = False
        await site.passes(1.0)
        await site.scene.planning.delete_signal(SIGNAL, "ann")
        await site.passes(0.5)
        assert site.limit_w == 4200.0

    async def restarted(site: Relay) -> None:
        assert site.limit_w == 4200.0, "until the contact has been read"
        await site.passes(5.0)
        assert site.limit_w is None

    play(opened, store=store)
    play(restarted, store=store)


@dataclass
class Inputs(HostileMeter):
    """An I/O module whose inputs are bits."""

    inputs: dict[int, bool] = field(default_factory=dict)

    def pdu(self, asked: Asked, *, count: int | None = None, function: int | None = None) -> bytes:
        bits = sum(self.inputs.get(asked.address + n, False) << n for n in range(asked.count))
        return bytes([asked.function, 1, bits])


def place(port: int, *, address: int = 3, is_coil: bool = False) -> ContactPlace:
    text = f"tcp://127.0.0.1:{port}?timeout_s=0.2"
    return ContactPlace(connection=text, unit=1, is_coil=is_coil, address=address)


def contact_at(at: ContactPlace) -> Contact:
    return Contact(at, Module(at.connection))


@pytest.mark.parametrize("is_coil", [False, True])
def test_a_real_input_is_read_as_it_is(is_coil: bool) -> None:
    async def scenario() -> list[object]:
        module = Inputs(inputs={3: True})
        seen: list[object] = []
        async with module.listening() as port:
            contact = contact_at(place(port, is_coil=is_coil))
            seen.append(await contact.is_closed())
            module.inputs[3] = False
            seen.append(await contact.is_closed())
            await contact.close()
        return [*seen, {asked.function for asked in module.asked}]

    assert asyncio.run(scenario()) == [True, False, {1 if is_coil else 2}]


def test_the_stages_at_one_module_share_its_only_connection() -> None:
    async def scenario() -> tuple[list[bool], int]:
        module = Inputs(inputs={0: True, 1: False, 2: True})
        async with module.listening() as port:
            shared = Module(place(port).connection)
            contacts = [Contact(place(port, address=n), shared) for n in range(3)]
            seen = await asyncio.gather(*(c.is_closed() for c in contacts))
            await shared.close()
        return seen, module.accepted

    assert asyncio.run(scenario()) == ([True, False, True], 1)


def test_a_module_that_refuses_or_is_gone_says_so() -> None:
    async def scenario() -> tuple[str, str]:
        module = Inputs(inputs={3: True})
        module.faults.append(exception(2))
        async with module.listening() as port:
            contact = contact_at(place(port))
            with pytest.raises(ContactLostError) as refused:
                await contact.is_closed()
        with pytest.raises(ContactLostError) as gone:
            await contact.is_closed()
        await contact.close()
        return str(refused.value), str(gone.value)

    refused, gone = asyncio.run(scenario())
    assert "input 3 is refused with exception 2; check `input`, `table` and `unit`" in refused
    assert "check" in gone


def test_a_broken_wire_limits_a_running_site_within_a_second(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With real parts: 4200 W are 6.08 A on each of three phases."""

    async def scenario() -> tuple[float, float]:
        module = Inputs(inputs={0: True})
        circuit = a_circuit(limit_a=63.0, meter=None, building_peak_a=0.0)
        async with module.listening() as port:
            relay = RelaySettings(id="dso", circuit=CircuitId("main"), limit_w=4200.0)
            run = RunSettings(
                site=a_site(circuits=[circuit], evses=1),
                policy=Policy(interval_s=0.5),
                ocpp=OcppSettings(port=0),
                http=HttpSettings(host="127.0.0.1", port=0),
                store_path=tmp_path / "w.db",
                influx=None,
                accept_unknown_tokens=True,
                relays=((relay, place(port, address=0)),),
            )
            async with RunningController(run) as controller:

                def limit_a() -> float:
                    plan = controller.operations.plan()
                    return plan.circuits[circuit.id].limit_a.l1_a if plan is not None else 63.0

                await until(lambda: len(module.asked) >= 2, timeout_s=20.0)
                before_a = limit_a()
                module.inputs[0] = False
                broken_s = time.monotonic()
                await until(lambda: SIGNAL in controller.planning.signals, timeout_s=20.0)
                record_property("fault_wire_s", time.monotonic() - broken_s)
                await until(lambda: limit_a() < 63.0, timeout_s=20.0)
                record_property("fault_t_s_s", time.monotonic() - broken_s)
                return before_a, limit_a()

    before_a, after_a = asyncio.run(scenario())
    assert before_a == 63.0
    assert after_a == pytest.approx(4200 / 3 / 230, abs=0.01)
