"""The live terminal view: load against limit per phase, and every EVSE with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.decision import Alarm, CircuitStatus, EvseStatus, Plan, Severity, SiteMode
from controller.phases import PHASES
from controller.station import EvseState

BAR_WIDTH = 24
_MODE_STYLE = {
    SiteMode.NORMAL: "bold green",
    SiteMode.HOLD: "bold yellow",
    SiteMode.BLIND: "bold red",
    SiteMode.FALLBACK: "bold red",
}
_STATE_STYLE = {
    EvseState.CHARGING: "green",
    EvseState.FAULTED: "bold red",
    EvseState.SUSPENDED_EVSE: "yellow",
    EvseState.SUSPENDED_EV: "cyan",
    EvseState.UNKNOWN: "dim",
    EvseState.AVAILABLE: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands above and below the figures."""

    title: str
    address: str
    hint: str


def render(
    plan: Plan | None, alarms: Sequence[Alarm], *, header: Header, height: int
) -> RenderableType:
    """Draw the site as it is now, for a terminal of so many lines."""
    if plan is None:
        return Panel("Waiting for the first decision ...", title=header.title)
    room = max(3, height - 4 * len(plan.circuits) - len(alarms) - 11)
    parts: list[RenderableType] = [_headline(plan), *map(_circuit, plan.circuits.values())]
    parts.append(_chargers(list(plan.evses.values()), room))
    parts.extend(_alarm(a) for a in alarms[:5])
    return Panel(
        Group(*parts),
        title=f"[bold]{header.title}",
        subtitle=f"{header.address}   {header.hint}",
        box=box.ROUNDED,
    )


def _headline(plan: Plan) -> Text:
    active = sum(e.transaction is not None for e in plan.evses.values())
    granted_a = sum(e.setpoint_a for e in plan.evses.values() if e.transaction is not None)
    text = Text()
    text.append(f" {plan.mode.value.upper()} ", style=f"reverse {_MODE_STYLE[plan.mode]}")
    text.append(f"  {active} of {len(plan.evses)} charging, {granted_a:.0f} A granted")
    text.append(f"   solver: {plan.method}", style="dim")
    return text


def _circuit(circuit: CircuitStatus) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=14)
    table.add_column(width=2)
    table.add_column(width=BAR_WIDTH)
    for width in (16, 16, 18, 18):
        table.add_column(width=width, justify="right")
    for index, phase in enumerate(PHASES):
        load_a = _load_a(circuit, index)
        limit_a = circuit.limit_a.of(phase)
        table.add_row(
            Text(circuit.id if index == 0 else "", style="bold"),
            phase.name,
            _bar(load_a, limit_a),
            f"{load_a:6.1f} of {limit_a:.0f} A",
            f"building {circuit.building_a.of(phase):5.1f}",
            f"committed {circuit.committed_a.of(phase):6.1f}",
            f"headroom {circuit.headroom_a.of(phase):6.1f}",
        )
    return table


def _load_a(circuit: CircuitStatus, index: int) -> float:
    """Return the measured load, or what is counted where there is no meter. [A]."""
    counted = circuit.building_a + circuit.committed_a
    current = circuit.measured_a if circuit.measured_a is not None else counted
    return current.of(PHASES[index])


def _bar(load_a: float, limit_a: float) -> Text:
    ratio = load_a / limit_a if limit_a > 0 else 0.0
    filled = min(BAR_WIDTH, max(0, round(ratio * BAR_WIDTH)))
    style = "red" if ratio > 1.0 else "yellow" if ratio > 0.9 else "green"
    bar = Text("█" * filled, style=style)
    bar.append("░" * (BAR_WIDTH - filled), style="dim")
    return bar


def _chargers(evses: list[EvseStatus], room: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for name, justify in (
        ("EVSE", "left"),
        ("state", "left"),
        ("granted", "right"),
        ("drawn", "right"),
        ("energy", "right"),
        ("why", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    shown = sorted(evses, key=lambda e: (e.transaction is None, e.id))[:room]
    for evse in shown:
        table.add_row(*_charger(evse))
    if len(shown) < len(evses):
        table.add_row(f"... {len(evses) - len(shown)} more", "", "", "", "", "")
    return table


def _charger(evse: EvseStatus) -> Iterable[RenderableType]:
    state = evse.state.value if evse.connected else "offline"
    drawn_a = max(evse.drawn_a) if evse.drawn_a is not None else None
    is_charging = evse.transaction is not None
    return (
        evse.id,
        Text(state, style=_STATE_STYLE.get(evse.state, "")),
        f"{evse.setpoint_a:.1f} A" if is_charging else "-",
        f"{drawn_a:.1f} A" if drawn_a is not None else "?",
        f"{evse.energy_wh / 1000:.2f} kWh" if evse.energy_wh is not None else "",
        evse.reason.text,
    )


def _alarm(alarm: Alarm) -> Text:
    is_bad = alarm.condition.severity in (Severity.ALARM, Severity.CRITICAL)
    text = Text(f"{alarm.begin:%H:%M:%S} ", style="dim")
    text.append(f"{alarm.condition.code} ", style="bold red" if is_bad else "yellow")
    text.append(alarm.condition.text)
    return text
