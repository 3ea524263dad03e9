"""Figures for Prometheus, gathered when asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.decision import CircuitStatus, Plan
from controller.phases import PHASES, PhaseCurrents
from controller.ports import Clock, Control

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_COUNTERS = {
    "cycles": ("wattkeeper_cycles", "Cycles since the start."),
    "overruns": ("wattkeeper_cycle_overruns", "Cycles that took longer than their interval."),
    "frames_in": ("wattkeeper_frames_in", "OCPP frames received."),
    "frames_out": ("wattkeeper_frames_out", "OCPP frames sent."),
    "upload_sent": ("wattkeeper_upload_samples", "Samples sent to the time-series server."),
    "upload_quarantined": ("wattkeeper_upload_refused", "Samples that it refused for ever."),
    "upload_dropped": ("wattkeeper_upload_dropped", "Samples removed before they were sent."),
    "samples_dropped": ("wattkeeper_samples_dropped", "Samples lost before they were stored."),
    "frames": ("wattkeeper_frames", "OCPP frames received and sent."),
}
_GAUGES = {
    "decision_s": ("wattkeeper_cycle_duration_seconds", "Time of the last decision."),
    "upload_spool_depth": ("wattkeeper_spool_samples", "Samples that wait to be sent."),
    "upload_oldest_unsent_age_s": ("wattkeeper_spool_age_seconds", "Age of the oldest of them."),
    "samples_queued": ("wattkeeper_samples_queued", "Samples in memory, not stored yet."),
}


class _PlanCollector(Collector):
    """Reads the controller once per scrape."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        yield from _loop(self._control.stats())
        yield self._alarms()
        plan = self._control.plan()
        if plan is None:
            return
        age_s = max(0.0, self._clock.monotonic_s() - plan.now_s)
        yield GaugeMetricFamily(
            "wattkeeper_cycle_age_seconds", "Age of the last decision.", value=age_s
        )
        yield _mode(plan)
        yield from _circuits(plan)
        yield from _evses(plan)

    def _alarms(self) -> Metric:
        family = GaugeMetricFamily(
            "wattkeeper_alarms", "Alarms in force.", labels=["code", "severity"]
        )
        counts: dict[tuple[str, str], int] = {}
        for entry in self._control.alarms():
            key = (entry.condition.code, entry.condition.severity.value)
            counts[key] = counts.get(key, 0) + 1
        for key, count in sorted(counts.items()):
            family.add_metric(key, count)
        return family


def exposition(control: Control, clock: Clock) -> bytes:
    """Return all figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_PlanCollector(control, clock))
    return generate_latest(registry)


def _loop(stats: Mapping[str, float]) -> Iterator[Metric]:
    for name, value in sorted(stats.items()):
        if name in _COUNTERS:
            metric, text = _COUNTERS[name]
            yield CounterMetricFamily(metric, text, value=value)
        elif name in _GAUGES:
            metric, text = _GAUGES[name]
            yield GaugeMetricFamily(metric, text, value=value)
        elif _NAME.fullmatch(name):
            yield GaugeMetricFamily(
                f"wattkeeper_loop_{name}", "Figure of the control loop.", value=value
            )


def _mode(plan: Plan) -> Metric:
    family = GaugeMetricFamily(
        "wattkeeper_site_mode", "1 for the mode the site is in.", labels=["mode"]
    )
    for mode in type(plan.mode):
        family.add_metric([mode.value], float(mode is plan.mode))
    return family


def _circuits(plan: Plan) -> Iterator[Metric]:
    names = {
        "limit": "Limit in force.",
        "measured": "Measured current, import positive.",
        "building": "Counted for what is no charger of ours.",
        "committed": "What our chargers may draw.",
        "headroom": "Limit - building - committed.",
    }
    for name, text in names.items():
        family = GaugeMetricFamily(
            f"wattkeeper_circuit_{name}_amperes", text, labels=["circuit", "phase"]
        )
        for status in plan.circuits.values():
            _add(family, status.id, _current(status, name))
        yield family


def _current(status: CircuitStatus, name: str) -> PhaseCurrents | None:
    current: PhaseCurrents | None = getattr(status, f"{name}_a")
    return current


def _add(family: GaugeMetricFamily, subject: str, current: PhaseCurrents | None) -> None:
    if current is None:
        return
    for phase in PHASES:
        family.add_metric([subject, phase.value], current.of(phase))


def _evses(plan: Plan) -> Iterator[Metric]:
    setpoint = GaugeMetricFamily(
        "wattkeeper_evse_setpoint_amperes", "What we want it limited to.", labels=["evse"]
    )
    committed = GaugeMetricFamily(
        "wattkeeper_evse_committed_amperes", "What it may draw per phase.", labels=["evse"]
    )
    drawn = GaugeMetricFamily(
        "wattkeeper_evse_drawn_amperes", "Measured per grid phase.", labels=["evse", "phase"]
    )
    connected = GaugeMetricFamily(
        "wattkeeper_evse_connected", "1 while its station is connected.", labels=["evse"]
    )
    for status in plan.evses.values():
        setpoint.add_metric([status.id], status.setpoint_a)
        committed.add_metric([status.id], status.committed_a)
        connected.add_metric([status.id], float(status.connected))
        _add(drawn, status.id, status.drawn_a)
    yield from (setpoint, committed, drawn, connected)
