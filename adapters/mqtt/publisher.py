"""Publishes to one broker for as long as the site runs. A broker that is away is only a condition."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

import structlog

from adapters.mqtt.settings import MqttSettings
from adapters.mqtt.topics import Message, announcements, samples, state_of
from controller.decision import Condition, Severity
from controller.ports import ConditionSink, Control

_log = structlog.get_logger(__name__)

BACKOFF_S: Final = (1.0, 30.0)
"""Shortest and longest pause between attempts. [s]"""
UNREACHABLE: Final = "MQTT_UNREACHABLE"
SUBJECT: Final = "mqtt"
_ONLINE, _OFFLINE = "online", "offline"
_FAREWELL_S: Final = 2.0


class MissingLibraryError(Exception):
    """The site file asks for MQTT and its library is not installed."""


class MqttPublisher:
    """Publishes what has changed, retained. One per broker."""

    def __init__(
        self, *, settings: MqttSettings, control: Control, conditions: ConditionSink
    ) -> None:
        """Prepare.

        Raises:
            MissingLibraryError: `aiomqtt` is not installed.
        """
        self._settings = settings
        self._control = control
        self._conditions = conditions
        self._library = _library()
        self._said: dict[str, str] = {}
        """The latest payload of every topic, on this connection."""
        self._is_failing = False

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            try:
                async with self._client() as client:
                    failures = 0
                    await self._serve(client)
            except (self._library.MqttError, OSError) as error:
                self._begin(error)
                shortest_s, longest_s = BACKOFF_S
                pause_s = min(longest_s, shortest_s * 2.0 ** min(failures, 10))
                failures += 1
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    def _client(self) -> Any:
        settings = self._settings
        variable = settings.password_env
        return self._library.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=os.environ.get(variable) if variable is not None else None,
            identifier=f"wattkeeper-{settings.site}",
            tls_context=ssl.create_default_context() if settings.is_encrypted else None,
            will=self._library.Will(settings.status_topic, _OFFLINE, qos=1, retain=True),
            timeout=10.0,
        )

    async def _serve(self, client: Any) -> None:
        self._said = {}
        await self._say(client, Message(self._settings.status_topic, _ONLINE), qos=1)
        self._end()
        try:
            while True:
                await self._publish(client)
                await asyncio.sleep(self._settings.interval_s)
        except asyncio.CancelledError:
            # Our own stop is told at once; the broker tells of any other end by the will.
            with suppress(TimeoutError, self._library.MqttError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._say(client, Message(self._settings.status_topic, _OFFLINE), qos=1)
            raise

    async def _publish(self, client: Any) -> None:
        plan = self._control.plan()
        if plan is None:
            return
        solver_ms = 1000.0 * self._control.stats().get("decision_s", 0.0)
        found = tuple(samples(plan, self._control.snapshot(), solver_ms=solver_ms))
        for message in announcements(found, self._settings):
            await self._say(client, message)
        for sample in found:
            await self._say(client, state_of(sample, self._settings))

    async def _say(self, client: Any, message: Message, *, qos: int = 0) -> None:
        """Publish a message that differs from the one before it."""
        if self._said.get(message.topic) == message.payload:
            return
        await client.publish(message.topic, message.payload, qos=qos, retain=True)
        self._said[message.topic] = message.payload

    def _begin(self, error: Exception) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        text = (
            f"{self._settings.url}: the MQTT broker cannot be reached or refuses us ({error}). Start "
            "it, or correct mqtt.url, mqtt.username and the password; charging goes on."
        )
        condition = Condition(
            code=UNREACHABLE, subject=SUBJECT, text=text, severity=Severity.WARNING
        )
        self._conditions.begin(condition)

    def _end(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._conditions.end(UNREACHABLE, SUBJECT)


def _library() -> ModuleType:
    try:
        import aiomqtt
    except ImportError as error:
        raise MissingLibraryError(
            "mqtt: the library aiomqtt is not installed; install it with "
            "`pip install wattkeeper[mqtt]`, or remove mqtt from the site file"
        ) from error
    return aiomqtt
