"""What is published where: the same values and names as in the time series. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.mqtt.settings import MqttSettings
from controller import series
from controller.decision import Plan
from controller.records import Sample
from controller.snapshot import Snapshot

FRESH_S: Final = 30.0
"""A meter's reading that is older is not published. [s]"""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_KINDS: Final[tuple[tuple[str, str | None, str | None, str | None], ...]] = (
    (r"e_session", "Wh", "energy", "total_increasing"),
    (r"e_(imp|exp)", "Wh", "energy", "total_increasing"),
    (r"i_l\d|(limit|building|committed|load|ev)_l\d|limit_a|committed_a", "A", "current", "measurement"),
    (r"v_l\d", "V", "voltage", "measurement"),
    (r"p(_l\d)?", "W", "power", "measurement"),
    (r"f", "Hz", "frequency", "measurement"),
    (r"soc", "%", "battery", "measurement"),
    (r"pf", None, "power_factor", "measurement"),
    (r"age_ms|solver_ms", "ms", "duration", "measurement"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """One retained message."""

    topic: str
    payload: str


def samples(plan: Plan, snapshot: Snapshot | None, *, solver_ms: float) -> Iterator[Sample]:
    """Return the current values of everything."""
    yield from series.of_circuits(plan)
    yield from series.of_evses(plan)
    yield series.of_allocation(plan, solver_ms=solver_ms)
    if snapshot is None:
        return
    for meter, view in snapshot.meters.items():
        if view.reading is not None and view.reading.age_s(snapshot.now_s) <= FRESH_S:
            yield series.of_meter(meter, view.reading.value, plan.at)


def state_of(sample: Sample, settings: MqttSettings) -> Message:
    """Return the message with all values of a sample."""
    return Message(topic_of(sample, settings), json.dumps(dict(sample.fields), sort_keys=True))


def topic_of(sample: Sample, settings: MqttSettings) -> str:
    """Return the topic of a sample: its measurement and the values of its tags."""
    parts = (sample.measurement, *(_UNSAFE.sub("_", value) for value in sample.tags.values()))
    return "/".join((settings.base, *parts))


def announcements(found: Iterable[Sample], settings: MqttSettings) -> Iterator[Message]:
    """Return the discovery messages for Home Assistant, one per value.

    Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
    """
    if settings.discovery is None:
        return
    device = {
        "identifiers": [f"wattkeeper_{settings.site}"],
        "name": settings.name,
        "manufacturer": "Wattkeeper",
    }
    for sample in found:
        topic = topic_of(sample, settings)
        thing = "_".join(topic.split("/")[len(settings.base.split("/")) :]).replace(".", "_")
        for field, value in sample.fields.items():
            identity = f"wattkeeper_{settings.site}_{thing}_{field}"
            config = {
                "name": f"{' '.join(sample.tags.values()) or 'site'} {field}",
                "unique_id": identity,
                "state_topic": topic,
                "value_template": f"{{{{ value_json.{field} }}}}",
                "availability_topic": settings.status_topic,
                "device": device,
                **_kind(field, value),
            }
            node = _UNSAFE.sub("_", f"wattkeeper_{settings.site}").replace(".", "_")
            yield Message(
                f"{settings.discovery}/sensor/{node}/{thing}_{field}/config",
                json.dumps(config, sort_keys=True),
            )


def _kind(field: str, value: float | int | str) -> Mapping[str, str]:
    if isinstance(value, str):
        return {}
    for pattern, unit, device_class, state_class in _KINDS:
        if re.fullmatch(pattern, field):
            named = {
                "unit_of_measurement": unit,
                "device_class": device_class,
                "state_class": state_class,
            }
            return {name: text for name, text in named.items() if text is not None}
    return {"state_class": "measurement"}
