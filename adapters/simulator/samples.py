"""What the meter of an EVSE reports, before either protocol dresses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.simulator.charger import Charger

MEASURANDS = (
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "SoC",
    "Voltage",
)
DEFAULT_MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sampled value."""

    measurand: str
    value: float
    unit: str
    phase: str | None = None
    """Terminal of the EVSE; None: of the whole EVSE."""
    location: str = "Outlet"


def is_supported(measurands: str) -> bool:
    """Tell whether a comma-separated list names only what the meter can report."""
    names = split(measurands)
    return all(name in MEASURANDS for name in names)


def split(measurands: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(name.strip() for name in measurands.split(",") if name.strip())


def samples(
    charger: Charger, measurands: Sequence[str], *, limit_a: float, voltage_v: float
) -> list[Sample]:
    """Read the meter of an EVSE.

    Args:
        charger: The EVSE.
        measurands: OCPP names, in the order of the report.
        limit_a: What the station allows now. [A]
        voltage_v: Line to neutral. [V]
    """
    values: list[Sample] = []
    for name in measurands:
        values += _measure(name, charger, limit_a, voltage_v)
    return values


def _measure(name: str, charger: Charger, limit_a: float, voltage_v: float) -> Iterator[Sample]:
    terminals = range(1, charger.evse.phases + 1)
    if name == "Current.Import":
        for n, current_a in zip(terminals, charger.terminal_a, strict=False):
            yield Sample(measurand=name, value=round(current_a, 2), unit="A", phase=f"L{n}")
    elif name == "Voltage":
        for n in terminals:
            yield Sample(measurand=name, value=round(voltage_v, 1), unit="V", phase=f"L{n}-N")
    elif name == "Power.Active.Import":
        yield Sample(measurand=name, value=round(charger.power_w, 1), unit="W")
    elif name == "Energy.Active.Import.Register":
        yield Sample(measurand=name, value=float(int(charger.energy_wh)), unit="Wh")
    elif name == "Current.Offered":
        yield Sample(measurand=name, value=round(limit_a, 1), unit="A")
    elif charger.plugged is not None and charger.plugged.vehicle.tells_soc:
        soc = round(charger.plugged.soc_ratio * 100.0, 1)
        yield Sample(measurand="SoC", value=soc, unit="Percent", location="EV")
