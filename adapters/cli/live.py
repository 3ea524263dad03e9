"""The live terminal view: load against limit per phase, and every EVSE with its reason."""

from __future__ import annotations

from collections.abc import Sequence
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
GAP = 2
"""Between columns: the padding and the box's own column."""
FRAME_COLUMNS = 4
WIDE_COLUMNS = 112
MOST_ALARMS = 5
FIXED_LINES = 5
"""Frame, headline, and the chargers' head with its rule."""
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
_STATE_TEXT = {
    EvseState.SUSPENDED_EV: "vehicle idle",
    EvseState.SUSPENDED_EVSE: "paused",
    EvseState.AVAILABLE: "free",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands around the figures."""

    title: str
    address: str
    access: tuple[str, ...] = ()
    """Lines that say how to sign in; they stay in sight while figures change."""
    hint: str


def render(
    plan: Plan | None, alarms: Sequence[Alarm], *, header: Header, width: int, height: int
) -> RenderableType:
    """Draw the site as it is now, for a terminal of so many columns and lines."""
    parts: list[RenderableType] = [_line(Text(line, style="dim")) for line in header.access]
    if plan is None:
        parts.append(Text("Waiting for the first decision ..."))
    else:
        inner = width - FRAME_COLUMNS
        shown = alarms[:MOST_ALARMS]
        used = len(parts) + 3 * len(plan.circuits) + len(shown) + FIXED_LINES
        parts.append(_line(_headline(plan)))
        parts.extend(_circuit(c, inner) for c in plan.circuits.values())
        parts.append(_chargers(list(plan.evses.values()), max(2, height - used), inner))
        parts.extend(_line(_alarm(a)) for a in shown)
    return Panel(
        Group(*parts),
        title=f"[bold]{header.title}",
        subtitle=f"{header.address}   {header.hint}",
        box=box.ROUNDED,
    )


def _line(text: Text) -> Text:
    """Keep a text on one line: the heights are counted on."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _headline(plan: Plan) -> Text:
    active = sum(e.transaction is not None for e in plan.evses.values())
    granted_a = sum(e.setpoint_a for e in plan.evses.values() if e.transaction is not None)
    text = Text()
    text.append(f" {plan.mode.value.upper()} ", style=f"reverse {_MODE_STYLE[plan.mode]}")
    text.append(f"  {active} of {len(plan.evses)} charging, {granted_a:.0f} A granted")
    text.append(f"   solver: {plan.method}", style="dim")
    return text


def _circuit(circuit: CircuitStatus, width: int) -> Table:
    """Draw a circuit's phases; a narrow terminal leaves out what the bar already says."""
    is_wide = width >= WIDE_COLUMNS
    table = Table.grid(padding=(0, 1))
    table.add_column(width=14 if is_wide else 10, no_wrap=True)
    table.add_column(width=2)
    table.add_column(width=BAR_WIDTH)
    for columns in (16, 16, 18, 18) if is_wide else (16, 16):
        table.add_column(width=columns, justify="right", no_wrap=True)
    for index, phase in enumerate(PHASES):
        load_a = _load_a(circuit, index)
        limit_a = circuit.limit_a.of(phase)
        counted = (
            f"building {circuit.building_a.of(phase):5.1f}",
            f"committed {circuit.committed_a.of(phase):6.1f}",
        )
        table.add_row(
            Text(circuit.id if index == 0 else "", style="bold"),
            phase.name,
            _bar(load_a, limit_a),
            f"{load_a:6.1f} of {limit_a:.0f} A",
            *(counted if is_wide else ()),
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


def _chargers(evses: list[EvseStatus], room: int, width: int) -> Table:
    """Draw as many EVSEs as there is room for, those in use first."""
    id_columns = max((len(e.id) for e in evses), default=4)
    columns = [("EVSE", id_columns), ("state", 12), ("granted", 7), ("drawn", 7)]
    if width >= WIDE_COLUMNS:
        columns.append(("energy", 9))
    why_columns = max(12, width - sum(c + GAP for _, c in columns))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, size in columns:
        justify = "left" if name in ("EVSE", "state") else "right"
        table.add_column(name, width=size, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("why", width=why_columns, no_wrap=True)
    ordered = sorted(evses, key=lambda e: (e.transaction is None, e.id))
    shown = ordered if len(ordered) <= room else ordered[: room - 1]
    for evse in shown:
        cells = _charger(evse)[: len(columns)]
        table.add_row(*cells, _fitting(evse.reason.text, why_columns))
    if len(shown) < len(evses):
        table.add_row("...", f"{len(evses) - len(shown)} more")
    return table


def _charger(evse: EvseStatus) -> tuple[RenderableType, ...]:
    state = _STATE_TEXT.get(evse.state, evse.state.value) if evse.connected else "offline"
    drawn_a = max(evse.drawn_a) if evse.drawn_a is not None else None
    is_charging = evse.transaction is not None
    return (
        evse.id,
        Text(state, style=_STATE_STYLE.get(evse.state, "")),
        f"{evse.setpoint_a:.1f} A" if is_charging else "-",
        f"{drawn_a:.1f} A" if drawn_a is not None else "?",
        f"{evse.energy_wh / 1000:.2f} kWh" if evse.energy_wh is not None else "",
    )


def _fitting(text: str, columns: int) -> str:
    """Shorten a reason at the end of a clause, so that what is left is still a statement."""
    if len(text) <= columns:
        return text
    cut = max(text.rfind(mark, 0, columns + 1) for mark in (", ", ": ", "; "))
    return text[:cut] if cut > 0 else text[: columns - 1] + "…"


def _alarm(alarm: Alarm) -> Text:
    is_bad = alarm.condition.severity in (Severity.ALARM, Severity.CRITICAL)
    text = Text(f"{alarm.begin:%H:%M:%S} ", style="dim")
    text.append(f"{alarm.condition.code} ", style="bold red" if is_bad else "yellow")
    text.append(alarm.condition.text)
    return text
