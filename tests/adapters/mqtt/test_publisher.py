"""The publisher against a real broker."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from adapters.mqtt import publisher as publisher_module
from adapters.mqtt.publisher import MqttPublisher
from adapters.mqtt.settings import MqttSettings
from controller.decision import Plan
from controller.snapshot import Snapshot
from tests.adapters.influx.influx_site import Conditions
from tests.controller.builders import Bench, a_site

pytestmark = pytest.mark.services


class Shown:
    """A `Control` that shows one plan."""

    def __init__(self) -> None:
        bench = Bench(site=a_site()).plug_in("CP001/1")
        self.shown: Plan = bench.run(30.0).plan
        self.seen: Snapshot = bench.snapshot()

    def plan(self) -> Plan:
        return self.shown

    def snapshot(self) -> Snapshot:
        return self.seen

    def stats(self) -> dict[str, float]:
        return {"decision_s": 0.002}


class Broker:
    """mosquitto on a free port of loopback."""

    def __init__(self, folder: Path, *, options: str = "allow_anonymous true\n") -> None:
        binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if binary is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        self.binary = binary
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\npersistence false\n{options}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.binary, "-c", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 10.0
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
                return
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(5.0)
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "BACKOFF_S", (0.05, 0.1))


def settings_for(broker: Broker, **changes: Any) -> MqttSettings:
    arguments: dict[str, Any] = {"discovery": "homeassistant", "interval_s": 0.1, **changes}
    return MqttSettings(
        url=f"mqtt://127.0.0.1:{broker.port}", site="depot", name="Depot", **arguments
    )


async def retained(broker: Broker, *, count: int, topic: str = "#", **login: str) -> dict[str, str]:
    """Return what a new subscriber gets at once: only retained messages."""
    found: dict[str, str] = {}
    async with aiomqtt.Client("127.0.0.1", broker.port, **login) as client:
        await client.subscribe(topic)
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                async for message in client.messages:
                    if message.retain:
                        found[str(message.topic)] = bytes(message.payload).decode()  # type: ignore[arg-type]
                    if len(found) >= count:
                        break
    return found


async def until(is_true: Any) -> None:
    async with asyncio.timeout(10.0):
        while not is_true():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)


def publishing(
    settings: MqttSettings, control: Shown, conditions: Conditions
) -> asyncio.Task[None]:
    publisher = MqttPublisher(settings=settings, control=control, conditions=conditions)  # type: ignore[arg-type]
    return asyncio.create_task(publisher.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_values_are_retained_under_the_names_of_the_time_series(broker: Broker) -> None:
    control = Shown()

    async def scenario() -> None:
        task = publishing(settings_for(broker, discovery=None), control, Conditions())
        found = await retained(broker, count=7, topic="wattkeeper/#")
        found = await retained(broker, count=7, topic="wattkeeper/#")
        await ended(task)
        assert found["wattkeeper/depot/status"] == "online"
        charger = json.loads(found["wattkeeper/depot/charger/CP001/1"])
        circuit = json.loads(found["wattkeeper/depot/circuit/main"])
        evse = control.shown.evses["CP001/1"]  # type: ignore[index]
        assert charger["limit_a"] == evse.setpoint_a
        assert circuit["limit_l1"] == 63.0
        assert "i_l1" in json.loads(found["wattkeeper/depot/grid/main"])
        assert json.loads(found["wattkeeper/depot/allocation"])["mode"] == 0

    asyncio.run(scenario())


def test_home_assistant_is_told_of_every_value(broker: Broker) -> None:
    async def scenario() -> None:
        task = publishing(settings_for(broker), Shown(), Conditions())
        topic = "homeassistant/sensor/wattkeeper_depot/circuit_main_load_l1/config"
        found = await retained(broker, count=1, topic=topic)
        if not found:
            found = await retained(broker, count=1, topic=topic)
        await ended(task)
        config = json.loads(found[topic])
        assert config["state_topic"] == "wattkeeper/depot/circuit/main"
        assert config["value_template"] == "{{ value_json.load_l1 }}"
        assert config["availability_topic"] == "wattkeeper/depot/status"
        assert (config["unit_of_measurement"], config["device_class"]) == ("A", "current")
        assert config["device"]["name"] == "Depot"

    asyncio.run(scenario())


def test_stop_and_death_are_told_as_offline(broker: Broker) -> None:
    async def scenario() -> None:
        task = publishing(settings_for(broker), Shown(), Conditions())
        await asyncio.sleep(0.3)
        await ended(task)
        found = await retained(broker, count=1, topic="wattkeeper/depot/status")
        assert found == {"wattkeeper/depot/status": "offline"}

    asyncio.run(scenario())


def test_broker_that_comes_back_gets_everything_again(broker: Broker) -> None:
    async def scenario() -> None:
        conditions = Conditions()
        broker.stop()
        task = publishing(settings_for(broker, discovery=None), Shown(), conditions)
        await until(lambda: conditions.log == ["begin MQTT_UNREACHABLE"])
        broker.start()
        await until(lambda: conditions.log[-1] == "end MQTT_UNREACHABLE")
        await asyncio.sleep(0.3)
        found = await retained(broker, count=7, topic="wattkeeper/#")
        await ended(task)
        assert len(found) == 7
        assert "the MQTT broker cannot be reached" in conditions.texts[0]

    asyncio.run(scenario())


def test_wrong_password_is_a_condition_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "pla1nted")
    broker = Broker(tmp_path, options="allow_anonymous false\n")
    broker.start()

    async def scenario() -> None:
        conditions = Conditions()
        settings = settings_for(broker, username="wattkeeper", password_env="PASSWORD")
        task = publishing(settings, Shown(), conditions)
        await until(lambda: conditions.log == ["begin MQTT_UNREACHABLE"])
        await ended(task)
        assert "pla1nted" not in conditions.texts[0]

    try:
        asyncio.run(scenario())
    finally:
        broker.stop()


def test_unchanged_values_are_not_sent_again(broker: Broker) -> None:
    async def scenario() -> None:
        control = Shown()
        settings = settings_for(broker, discovery=None)
        task = publishing(settings, control, Conditions())
        await asyncio.sleep(0.3)
        seen: list[str] = []
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("wattkeeper/#")

            async def listen() -> None:
                async for message in client.messages:
                    if not message.retain:
                        seen.append(str(message.topic))

            listener = asyncio.create_task(listen())
            await asyncio.sleep(0.3)
            quiet = list(seen)
            control.shown = replace(control.shown, method="filling")
            await until(lambda: seen)
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
        await ended(task)
        assert quiet == []
        assert set(seen) == {"wattkeeper/depot/allocation"}

    asyncio.run(scenario())
