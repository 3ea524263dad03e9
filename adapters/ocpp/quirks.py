"""What is known about charger models before talking to them. Behaviour is asked for, never a vendor.

Read from `config/chargers/*.yaml`; every deviation there names its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from controller.station import ZeroLimit

FORMAT = "charger/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Deviations of one charger model; the defaults suit a station that keeps to the standard."""

    boot_wait_s: float = 1.0
    """How long a new connection may take to send its BootNotification before we begin. [s]"""
    boot_settle_s: float = 1.0
    """Pause between BootNotification and our first request; some stations are deaf until then. [s]"""
    takes_pending: bool = True
    """False: it mishandles a BootNotification answered Pending (restarts, or never asks again)."""
    skipped_keys: frozenset[str] = frozenset()
    """Configuration keys never read or written: some stations restart when they are."""
    writes_configuration: bool = True
    """False: leave the station's configuration as its installer set it."""
    measurands: tuple[str, ...] = ()
    """What can be sampled, in the spelling of the model; empty: what we always ask for."""
    sample_interval_s: int | None = None
    """Shortest interval of meter values that it keeps to; None: ours. [s]"""
    takes_triggers: bool = True
    """False: do not send TriggerMessage."""
    unit: str | None = None
    """`A` or `W`: the only unit of limits it follows, whatever it says; None: what it says."""
    highest_level: int | None = None
    """Highest stack level it takes, whatever it says; None: what it says."""
    most_profiles: int | None = None
    """Profiles it holds, whatever it says; None: what it says."""
    is_relative: bool = False
    """Only profiles of kind Relative are taken: it cannot hold a lease."""
    default_connector: int | None = None
    """Connector at which TxDefaultProfile is taken; None: the EVSE's own."""
    refuses_tx_profile: bool = False
    """TxProfile is refused or ignored: the limit is said as TxDefaultProfile."""
    names_transaction: bool = True
    """False: a TxProfile must not name the transaction."""
    sends_phases: bool = True
    """False: never send numberPhases; it would switch relays or divide wrongly."""
    step_a: float = 0.1
    """Smallest step of a limit it keeps to. [A]"""
    zero_limit: ZeroLimit = ZeroLimit.PAUSES
    holds_lease: bool | None = None
    """Whether a lease has been seen to end by itself; None: not known."""
    writes_per_day: int = 300
    """Limits that may be written per EVSE and day before raises are held back (flash wear)."""
    limit_key: str | None = None
    """Configuration key that limits the current instead of charging profiles. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerModel:
    """One entry of the catalogue."""

    name: str
    vendor: str
    """Pattern, `*` and `?` allowed, upper and lower case alike."""
    model: str = "*"
    firmware: str = "*"
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Quirks` that differ."""

    def fits(self, *, vendor: str, model: str, firmware: str) -> bool:
        """Tell whether a station is of this model."""
        given = ((vendor, self.vendor), (model, self.model), (firmware, self.firmware))
        return all(fnmatchcase(text.casefold(), p.casefold()) for text, p in given)


class CatalogueError(ValueError):
    """A charger file is wrong; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All known models; a later, more specific entry overrides an earlier one."""

    models: tuple[ChargerModel, ...] = ()
    default: Quirks = field(default_factory=Quirks)

    def quirks_of(self, *, vendor: str, model: str, firmware: str) -> Quirks:
        """Return the quirks of a station by what it said at boot."""
        found = self.default
        for entry in self.models:
            if entry.fits(vendor=vendor, model=model, firmware=firmware):
                found = replace(found, **entry.values)
        return found


def load_catalogue(folder: Path) -> Catalogue:
    """Read all charger files of a folder.

    Raises:
        CatalogueError: One of them is wrong.
    """
    entries = [entry for path in sorted(folder.glob("*.yaml")) for entry in _models_of(path)]
    return Catalogue(models=tuple(sorted(entries, key=_generality, reverse=True)))


def _generality(entry: ChargerModel) -> int:
    """Return how general an entry is: the fewer plain characters, the more general."""
    plain = sum(len(p.replace("*", "")) for p in (entry.vendor, entry.model, entry.firmware))
    return -plain


def _models_of(path: Path) -> list[ChargerModel]:
    try:
        data = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise CatalogueError(f"{path.name}: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CatalogueError(f"{path.name}: format must be {FORMAT}")
    return [_model(path, name, entry) for name, entry in (data.get("models") or {}).items()]


def _model(path: Path, name: str, entry: Mapping[str, Any]) -> ChargerModel:
    place = f"{path.name}, {name}"
    unknown = set(entry) - {"vendor", "model", "firmware", "quirks", "evidence"}
    if unknown:
        raise CatalogueError(f"{place}: unknown {', '.join(sorted(unknown))}")
    for needed in ("vendor", "evidence"):
        if not entry.get(needed):
            raise CatalogueError(f"{place}: {needed} is missing")
    return ChargerModel(
        name=name,
        vendor=str(entry["vendor"]),
        model=str(entry.get("model", "*")),
        firmware=str(entry.get("firmware", "*")),
        values=_values(place, entry.get("quirks") or {}),
    )


def _values(place: str, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name: f.default for f in fields(Quirks)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise CatalogueError(f"{place}: there is no quirk {name}")
        values[name] = _value(place, name, value, known[name])
    return values


def _value(place: str, name: str, value: Any, default: Any) -> Any:
    if isinstance(default, frozenset):
        return frozenset(str(v) for v in value)
    if isinstance(default, tuple):
        return tuple(str(v) for v in value)
    if isinstance(default, Enum):
        try:
            return ZeroLimit(value)
        except ValueError:
            raise CatalogueError(f"{place}: {name} cannot be {value!r}") from None
    if isinstance(default, float):
        value = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if default is not None and type(value) is not type(default):
        raise CatalogueError(f"{place}: {name} must be a {type(default).__name__}")
    return value
