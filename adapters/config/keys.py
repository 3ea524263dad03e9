"""Every key of a site file, with its type, bounds, default and meaning.

The docstring under a key is its description: the JSON schema and the mends use it.
Bounds that span several keys are in `rules`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
)

from adapters.config import spelling
from adapters.config.keybase import (
    Current,
    EvseNumber,
    Keys,
    Label,
    Listen,
    Name,
    Rating,
    Setting,
    SettingName,
    StationKey,
    Variable,
    Vendor,
)
from adapters.config.load_keys import LoadEntry
from adapters.config.notify_keys import NotificationsSection
from adapters.config.roaming_keys import BillingSection, OcpiSection, UpstreamSection
from controller.policies import PRIORITY_CLASSES
from controller.policy import Policy

ONE_VALUE: Final = "(one value)"
PER_PHASE: Final = "(per phase)"

_P: Final = Policy()


def _shape(value: object) -> str:
    """Tell one number for all phases from a map with one number per phase."""
    return PER_PHASE if isinstance(value, dict | BaseModel) else ONE_VALUE


def _refuse_truth(value: object) -> object:
    """Keep `true` from passing as 1, which Python takes for the same."""
    return str(value) if isinstance(value, bool) else value


class PhaseRatings(Keys):
    """A rating for each phase conductor, where they differ."""

    l1: Rating = Field(examples=[63])
    """Grid phase L1. [A]"""
    l2: Rating = Field(examples=[63])
    """Grid phase L2. [A]"""
    l3: Rating = Field(examples=[63])
    """Grid phase L3. [A]"""


class PhaseLoads(Keys):
    """A load for each phase conductor, where they differ."""

    l1: Current = Field(examples=[40])
    """Grid phase L1. [A]"""
    l2: Current = Field(examples=[40])
    """Grid phase L2. [A]"""
    l3: Current = Field(examples=[40])
    """Grid phase L3. [A]"""


RatingPerPhase = Annotated[
    Annotated[Rating, Tag(ONE_VALUE)] | Annotated[PhaseRatings, Tag(PER_PHASE)],
    Discriminator(_shape),
]
LoadPerPhase = Annotated[
    Annotated[Current, Tag(ONE_VALUE)] | Annotated[PhaseLoads, Tag(PER_PHASE)],
    Discriminator(_shape),
]


class SiteSection(Keys):
    """What the site is called and where it stands."""

    id: Name = Field(examples=["depot-nord"])
    """Short name of the site in time series, exports and messages."""
    name: Label = Field(examples=["Depot Nord"])
    """Name for people, as it stands on the dashboard."""
    timezone: Annotated[str, AfterValidator(spelling.check_timezone)] = Field(
        examples=["Europe/Stockholm"]
    )
    """Time zone of the site, by its IANA name."""
    voltage_v: float = Field(230.0, ge=100, le=300)
    """Nominal voltage between line and neutral. [V]"""


class MeterEntry(Keys):
    """A meter on Modbus."""

    model: Annotated[str, AfterValidator(spelling.check_model)] = Field(
        examples=["eastron/sdm630"], json_schema_extra={"pattern": spelling.MODEL_PATTERN}
    )
    """Path of the meter's register map under `config/meters/`."""
    connection: Annotated[str, AfterValidator(spelling.check_connection)] = Field(
        examples=["tcp://192.168.1.10:502"]
    )
    """`tcp://HOST:PORT`, `udp://HOST:PORT`, `rtu+tcp://HOST:PORT` or `rtu:///dev/ttyUSB0?baud=9600&parity=N`."""
    unit: int = Field(1, ge=0, le=255)
    """Modbus unit (slave address) of the meter."""
    interval_s: float = Field(1.0, ge=0.1, le=60)
    """How often it is read. [s]"""
    word_order: Literal["big", "little"] | None = Field(None, examples=["little"])
    """Which word of a number comes first, where this device differs from its map."""
    register_offset: int = Field(0, ge=-1, le=1)
    """How far its registers lie from those of its map: 1 or -1 where firmware counts otherwise."""
    role: Literal["load", "production", "battery"] = "load"
    """What it measures: power flows towards the loads are positive, so production is negative."""


class VirtualMeterEntry(Keys):
    """A meter that is calculated from others, or from what stations report."""

    sum: list[Name] = Field(default_factory=list, examples=["[garage-a, garage-b]"])
    """Ids of the meters that are added."""
    minus: list[Name] = Field(default_factory=list, examples=["[pv]"])
    """Ids of the meters that are subtracted."""
    stations: list[StationKey] = Field(default_factory=list, examples=["[CP001]"])
    """Stations whose own meters are added: the last resort, as they report slowly."""
    role: Literal["load", "production", "battery"] = "load"
    """What it measures."""


class CircuitEntry(Keys):
    """A set of conductors behind one protective device."""

    parent: Name | None = Field(None, examples=["main"])
    """Id of the circuit that feeds this one; only the grid connection has none."""
    limit_a: RatingPerPhase = Field(examples=[63])
    """Rating of the protective device: one number, or one per phase as {l1: , l2: , l3: }. [A]"""
    device: Literal["mcb", "mccb", "gg"] = "mcb"
    """What protects it: `mcb` (miniature breaker), `mccb` (moulded case) or `gg` (fuse)."""
    meter: Name | None = Field(None, examples=["main"])
    """Id of the meter, real or calculated, that measures all of this circuit."""
    building_peak_a: LoadPerPhase | None = Field(None, examples=[140])
    """The most that everything below other than the stations can draw; needed with a meter. [A]"""
    margin_a: float = Field(1.0, ge=0, le=10_000)
    """Kept free below the limit, so that meter noise needs no command. [A]"""
    unbalance_a: float | None = Field(None, ge=0, le=10_000, examples=[20])
    """By how much any phase may exceed any other, building included; absent: no limit. [A]"""


class DcEntry(Keys):
    """What a DC charger gives its vehicle, in watts; it is controlled in watts too."""

    max_w: float = Field(gt=0, le=10_000_000, examples=[50_000])
    """Most power at the vehicle. [W]"""
    min_w: float = Field(1000.0, gt=0, le=1_000_000)
    """Least power that it can give; below it, it pauses. [W]"""
    efficiency: float = Field(0.92, gt=0.5, le=1)
    """Power at the vehicle per power from the feed, at the worst load."""


class EvseEntry(Keys):
    """One place to charge; it serves one vehicle at a time."""

    max_a: float = Field(gt=0, le=1000, examples=[32])
    """Rating of EVSE and cable: what it may draw when nothing limits it. [A]"""
    min_a: float = Field(6.0, gt=0, le=1000)
    """Least current that it can signal; below it, it pauses. [A]"""
    phases: Annotated[Literal[1, 2, 3], BeforeValidator(_refuse_truth)] = 3
    """Phases wired."""
    rotation: Annotated[str, AfterValidator(spelling.check_rotation)] | None = Field(
        None, examples=["RST"]
    )
    """Grid phases at the terminals L1, L2, L3: `RST` (default) to `TSR`; single-phase `L1`, `L2`, `L3`."""
    fallback_a: float | None = Field(None, ge=0, le=1000, examples=[6])
    """What it draws at most when it loses the controller: 0, or min_a (default) up to max_a. [A]"""
    step_a: float = Field(0.1, gt=0, le=100)
    """Resolution of its limit: 0.1, or 1 for stations that know whole amperes only. [A]"""
    priority: Annotated[int, BeforeValidator(spelling.priority_of)] = Field(
        0,
        ge=-100,
        le=100,
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": -100, "maximum": 100},
                {"type": "string", "enum": list(PRIORITY_CLASSES)},
            ]
        },
    )
    """Higher is served first: a number, or `low` (-10), `normal` (0), `high` (10), `urgent` (20)."""
    holds_lease: bool = True
    """False: it does not fall back by itself; unreachable, it counts with max_a."""
    circuit: Name | None = Field(None, examples=["garage-a"])
    """Id of the circuit of this EVSE, where it differs from the station's."""
    solar_min_a: float | None = Field(None, ge=0, le=1000, examples=[6])
    """Above this only the site's own surplus is used: 0, or what it takes from the grid in any case. [A]"""
    dc: DcEntry | None = Field(None, examples=["{max_w: 50000}"])
    """A DC charger: max_a is the rating of its feed, and min_a follows from min_w."""


class ConfigurationEntry(Keys):
    """What stations are to keep; a station takes what its OCPP version knows."""

    keys: dict[SettingName, Setting] = Field(
        default_factory=dict, max_length=200, examples=["{LightIntensity: 20}"]
    )
    """Configuration keys of OCPP 1.6."""
    variables: dict[SettingName, Setting] = Field(
        default_factory=dict, max_length=200, examples=["{OCPPCommCtrlr.HeartbeatInterval: 300}"]
    )
    """Variables of OCPP 2.0.1 and 2.1 as `Component.Variable`."""


class StationGroupEntry(Keys):
    """Stations that are cared for together; a station names its group."""

    configuration: ConfigurationEntry = ConfigurationEntry()
    """What all stations of the group are to keep."""


class StationEntry(Keys):
    """A charging station and its EVSEs."""

    circuit: Name = Field(examples=["garage-a"])
    """Id of the circuit that feeds the station."""
    max_a: Rating | None = Field(None, examples=[32])
    """What all its EVSEs may draw together per phase, where that is less than their sum. [A]"""
    group: Name | None = Field(None, examples=["wallboxes"])
    """Id of its group under station_groups."""
    configuration: ConfigurationEntry = ConfigurationEntry()
    """What this station is to keep; goes before its group's."""
    evses: dict[EvseNumber, EvseEntry] = Field(min_length=1, examples=["{1: {max_a: 32}}"])
    """Its EVSEs (connectors in OCPP 1.6) by their number, from 1."""


class PolicySection(Keys):
    """Thresholds and times of the controller; the defaults suit most sites."""

    name: Literal[
        "equal_share", "first_come", "priority", "least_laxity", "cheapest", "solar_first"
    ] = "equal_share"
    """By what rule current is shared: see `docs/policies.md`."""
    interval_s: float = Field(_P.interval_s, ge=0.5, le=60)
    """How often the controller decides. [s]"""
    lease_s: float = Field(_P.lease_s, ge=30, le=86_400)
    """How long a station keeps a limit above its fallback without hearing from us. [s]"""
    meter_hold_s: float = Field(_P.meter_hold_s, ge=0.5, le=60)
    """Meter older than this: nothing rises. [s]"""
    meter_blind_s: float = Field(_P.meter_blind_s, ge=1, le=600)
    """Meter older than this: the building counts with building_peak_a. [s]"""
    meter_fallback_s: float = Field(_P.meter_fallback_s, ge=2, le=3600)
    """Meter older than this: every EVSE below goes to its fallback. [s]"""
    meter_frozen_s: float = Field(_P.meter_frozen_s, ge=5, le=3600)
    """Meter that repeats the same bits for so long while vehicles draw counts as lost. [s]"""
    recovery_good_s: float = Field(_P.recovery_good_s, ge=0, le=3600)
    """Good meter data needed after a loss before anything rises. [s]"""
    recovery_ramp_a: float = Field(_P.recovery_ramp_a, gt=0, le=1000)
    """Largest rise per EVSE and increase interval while recovering. [A]"""
    increase_interval_s: float = Field(_P.increase_interval_s, ge=0, le=3600)
    """An EVSE's limit rises at most so often, a transaction's first rise excepted. [s]"""
    command_interval_s: float = Field(_P.command_interval_s, ge=0, le=600)
    """Increases to one EVSE are at least so far apart; decreases never wait. [s]"""
    increase_dead_band_a: float = Field(_P.increase_dead_band_a, ge=0, le=100)
    """Smaller increases are not sent. [A]"""
    decrease_dead_band_a: float = Field(_P.decrease_dead_band_a, ge=0, le=1)
    """Smaller decreases are not sent. [A]"""
    calls_per_s: float = Field(_P.calls_per_s, gt=0, le=1000)
    """Increases and renewals on the whole site; decreases are never throttled. [1/s]"""
    settle_s: float = Field(_P.settle_s, ge=1, le=120)
    """Time that EVSE and vehicle have to follow a confirmed limit. [s]"""
    command_timeout_s: float = Field(_P.command_timeout_s, ge=1, le=120)
    """How long a station has to answer. [s]"""
    sample_interval_s: float = Field(_P.sample_interval_s, ge=1, le=900)
    """How often stations are asked to send meter values. [s]"""
    ask_after_s: float = Field(_P.ask_after_s, ge=5, le=3600)
    """Meter value of a charging EVSE older than this: the station is asked for it. [s]"""
    sample_stale_s: float = Field(_P.sample_stale_s, ge=2, le=3600)
    """Station's meter value older than this: it is assumed to draw what it may. [s]"""
    reclaim_after_s: float = Field(_P.reclaim_after_s, ge=5, le=86_400)
    """A vehicle that leaves current unused for so long gives it back. [s]"""
    reclaim_gap_a: float = Field(_P.reclaim_gap_a, ge=0, le=100)
    """How much must be unused for that. [A]"""
    reclaim_room_a: float = Field(_P.reclaim_room_a, ge=0, le=100)
    """Left above what the vehicle takes, so that it can ask for more by taking it. [A]"""
    disobey_after_s: float = Field(_P.disobey_after_s, ge=5, le=3600)
    """A station that draws more than its limit for so long is reported. [s]"""
    disobey_gap_a: float = Field(_P.disobey_gap_a, ge=0, le=100)
    """Excess that is not yet disobedience. [A]"""
    disobey_ratio: float = Field(_P.disobey_ratio, ge=0, le=1)
    """The same as a fraction of the limit; the larger of both counts."""
    obey_for_s: float = Field(_P.obey_for_s, ge=5, le=86_400)
    """A disobedient station is trusted again after obeying for so long. [s]"""
    stop_disobedient: bool = _P.stop_disobedient
    """Its session is ended when its circuit would stay above its rating with all others paused."""
    min_on_s: float = Field(_P.min_on_s, ge=0, le=86_400)
    """A vehicle that was started is not paused for fairness before that. [s]"""
    min_off_s: float = Field(_P.min_off_s, ge=0, le=86_400)
    """A vehicle that was paused is not started again before that. [s]"""
    steady_a: float = Field(_P.steady_a, ge=0, le=100)
    """Setpoints are not moved by so little for fairness alone. [A]"""
    max_wait_s: float = Field(_P.max_wait_s, ge=0, le=604_800)
    """A vehicle that has waited for so long goes before every priority, and is due in every plan. [s]"""
    newcomers: int = Field(_P.newcomers, ge=0, le=100)
    """Idle EVSEs per circuit whose fallback is kept free for a vehicle that plugs in."""
    rush_s: float = Field(_P.rush_s, ge=0, le=3600)
    """As many more are kept free as vehicles came in this time. [s]"""
    thermal_shed_ratio: float = Field(_P.thermal_shed_ratio, ge=0.1, le=1)
    """Estimated heat, from steady rated load (0) to tripping (1), above which a limit is lowered."""
    thermal_shed_to_ratio: float = Field(_P.thermal_shed_to_ratio, ge=0.1, le=1)
    """Fraction of the limit that is used while it cools."""
    solver_deadline_s: float = Field(_P.solver_deadline_s, ge=0.05, le=30)
    """How long the optimiser may think; then progressive filling decides. [s]"""


class TariffEntry(Keys):
    """A price at some times of some weekdays, by the site's clock."""

    days: Annotated[str, AfterValidator(spelling.check_days)] = Field(
        "mon-sun", examples=["mon-fri"], json_schema_extra={"pattern": spelling.DAYS_PATTERN}
    )
    """Weekdays: `mon-fri`, `sat,sun` and the like."""
    begin: Annotated[str, AfterValidator(spelling.check_clock)] = Field(
        "00:00", examples=["06:00"], json_schema_extra={"pattern": spelling.CLOCK_PATTERN}
    )
    """From this local time on."""
    end: Annotated[str, AfterValidator(spelling.check_clock)] = Field(
        "24:00", examples=["22:00"], json_schema_extra={"pattern": spelling.CLOCK_PATTERN}
    )
    """Until this local time; before `begin`: on the next day."""
    price_per_kwh: float = Field(ge=-100, le=100, examples=[0.28])
    """What a kilowatt-hour costs, in the site's currency."""


class DemandLimitEntry(Keys):
    """A limit on the mean power of clock-aligned intervals, as network tariffs measure it."""

    limit_w: float = Field(gt=0, le=1e8, examples=[80_000])
    """Mean power of an interval. [W]"""
    interval_s: Literal[900, 1800, 3600] = 900
    """Length of an interval. [s]"""
    follows_peak: bool = True
    """Once the month's peak is above the limit, use up to it for the rest of the month."""


class PlanningSection(Keys):
    """What the planner knows ahead; without it, everything has a sensible default."""

    typical_stay_s: float = Field(8 * 3600.0, ge=900, le=7 * 86_400)
    """How long a vehicle stays of which nobody said when it leaves. [s]"""
    typical_need_wh: float = Field(20_000.0, ge=1000, le=1e6)
    """What a vehicle wants of which nobody said what it needs. [Wh]"""
    tariff: dict[Name, TariffEntry] = Field(
        default_factory=dict,
        examples=["{day: {begin: '06:00', end: '22:00', price_per_kwh: 0.28}}"],
    )
    """Prices by a name of your choice; where they overlap, the first one counts."""
    demand_limits: dict[Name, DemandLimitEntry] = Field(
        default_factory=dict, examples=["{main: {limit_w: 80000}}"]
    )
    """Demand limits by the id of the circuit; it needs a meter."""


class CertificateEntry(Keys):
    """A server certificate and its key."""

    certificate: Label = Field(examples=["tls/server.pem"])
    """Certificate with its chain, PEM; relative to the site file's folder."""
    key: Label = Field(examples=["tls/server.key"])
    """Its key, PEM, without a passphrase, mode 0600."""


class OcppTlsSection(Keys):
    """Certificates for security profiles 2 and 3. Without any, those of the own authority are used."""

    folder: Label = "var/pki"
    """Folder of the own authority (`wattkeeper ca init`), relative to the site file's folder."""
    certificates: dict[Name, CertificateEntry] = Field(
        default_factory=dict, examples=["{rsa: {certificate: ..., key: ...}}"]
    )
    """Certificates from elsewhere by a name of your choice: an RSA and an ECDSA one side by side."""
    client_ca: Label | None = Field(None, examples=["tls/stations-ca.pem"])
    """Authorities of the stations' certificates (profile 3), PEM; default: the own authority."""
    organisation: Label | None = Field(None, examples=["Depot Nord AB"])
    """Organisation (O) that stations' certificates must name; default: the own authority's."""
    rsa_key_exchange: bool = True
    """Offer the two suites without forward secrecy that OCPP asks for, as the last choice."""


class ListenerEntry(Keys):
    """A further port for stations, with a security profile of its own."""

    listen: Listen = Field(examples=["0.0.0.0:9443"])
    """Address and port."""
    security_profile: Annotated[int, AfterValidator(spelling.check_security_profile)] = Field(
        json_schema_extra={"enum": [0, 1, 2, 3]}, examples=[3]
    )
    """OCPP security profile of this port."""


class OcppSection(Keys):
    """The server that stations connect to."""

    listen: Listen = Field("127.0.0.1:9000", examples=["0.0.0.0:9000"])
    """Address and port: `0.0.0.0:9000` for every network, `127.0.0.1:9000` for this machine only."""
    security_profile: Annotated[int, AfterValidator(spelling.check_security_profile)] = Field(
        1, json_schema_extra={"enum": [0, 1, 2, 3]}
    )
    """OCPP security profile: 0 none, 1 password, 2 TLS and password, 3 TLS with client certificates."""
    unknown_tokens: Literal["reject", "accept"] = "reject"
    """RFID tokens that are not in the list: `reject`, or `accept` (charging is free)."""
    offline_tokens: Literal["none", "listed", "all"] = "listed"
    """Who may charge at a station without connection: `none`, the `listed` tokens, or `all`."""
    listeners: dict[Name, ListenerEntry] = Field(
        default_factory=dict, examples=["{tls: {listen: ..., security_profile: 3}}"]
    )
    """Further ports by a name of your choice; one security profile each."""
    data_transfer: list[Vendor] = Field(
        default_factory=list, max_length=100, examples=["[com.example]"]
    )
    """Vendor ids whose own messages (DataTransfer) are accepted and kept; others are refused."""
    tls: OcppTlsSection = OcppTlsSection()
    """Certificates for security profiles 2 and 3."""


class UploadsSection(Keys):
    """Receives logs and diagnostics that stations are asked for; without this section it is off."""

    listen: Listen = Field(examples=["0.0.0.0:9081"])
    """Address and port that stations can reach."""
    host: Label | None = Field(None, examples=["192.0.2.10"])
    """Host in the addresses that stations get; default: the one by which they reached this server."""
    tls: bool = False
    """Use HTTPS with the certificates of `ocpp.tls`."""
    folder: Label = "var/uploads"
    """Where files are kept, relative to the site file's folder."""
    max_bytes: int = Field(64 * 1024 * 1024, ge=100_000, le=2_000_000_000)
    """Largest file. [byte]"""
    keep_s: int = Field(2_592_000, ge=3600, le=315_360_000)
    """How long files are kept; 1 GiB at most, the oldest go first. [s]"""


class HttpSection(Keys):
    """The dashboard and the HTTP API."""

    listen: Listen = Field("127.0.0.1:8080", examples=["0.0.0.0:8080"])
    """Address and port."""
    tls: CertificateEntry | None = Field(None, examples=["{certificate: ..., key: ...}"])
    """Certificate and key for https; without them the page is http."""


class StoreSection(Keys):
    """The embedded database."""

    path: Label = "var/wattkeeper.db"
    """Its file, relative to the folder of the site file."""
    samples_days: float = Field(7.0, ge=1, le=3650)
    """How long raw samples are kept; roll-ups stay for years. [days]"""
    samples_mib: int = Field(1024, ge=64, le=1_048_576)
    """Most raw samples, by payload; the oldest go first. [MiB]"""


class InfluxSection(Keys):
    """Upload to InfluxDB; without this section nothing is uploaded."""

    url: Annotated[str, AfterValidator(spelling.check_url)] = Field(
        examples=["http://127.0.0.1:8086"]
    )
    """Address of the server, without user and password."""
    api: Literal["v1", "v2", "v3"] = "v2"
    """`v2` (organisation, bucket, token), `v3` (database, token) or `v1` (database, retention policy, user)."""
    org: Label | None = Field(None, examples=["depot"])
    """Organisation; v2 only."""
    bucket: Label | None = Field(None, examples=["wattkeeper"])
    """Bucket; v2 only."""
    token_env: Variable | None = Field(None, examples=["WATTKEEPER_INFLUX_TOKEN"])
    """Name of the environment variable that holds the token; v2 and v3 only."""
    database: Label | None = Field(None, examples=["wattkeeper"])
    """Database; v1 and v3 only."""
    retention_policy: Label | None = Field(None, examples=["autogen"])
    """Retention policy; v1 only. Absent: the database's default."""
    user_env: Variable | None = Field(None, examples=["WATTKEEPER_INFLUX_USER"])
    """Name of the environment variable that holds the user; v1 only."""
    password_env: Variable | None = Field(None, examples=["WATTKEEPER_INFLUX_PASSWORD"])
    """Name of the environment variable that holds the password; v1 only."""
    gzip: bool = True
    """Compress what is sent."""


class GridSignalSection(Keys):
    """The limit when the sender of grid signals falls silent; without this section signals just end."""

    circuit: Name = Field(examples=["main"])
    """Circuit that the failsafe limit holds, building and vehicles together; mostly the root."""
    failsafe_w: float = Field(ge=0, le=1e8, allow_inf_nan=False, examples=[4200])
    """Failsafe limit on all phases together. [W]"""
    failsafe_s: float = Field(7200, ge=7200, le=86_400)
    """How long it stays at least, unless heartbeat and limit come back. [s]"""
    heartbeat_s: float = Field(120, ge=10, le=3600)
    """A heartbeat that was once alive and is missing for so long is lost. [s]"""


class GridRelayEntry(Keys):
    """A relay of the grid operator, at an input of a Modbus I/O module."""

    circuit: Name = Field(examples=["main"])
    """Circuit that it limits, building and vehicles together; mostly the root."""
    limit_w: float = Field(ge=0, le=1e8, allow_inf_nan=False, examples=[4200])
    """Limit on all phases together while the relay limits. [W]"""
    connection: Annotated[str, AfterValidator(spelling.check_connection)] = Field(
        examples=["tcp://192.168.1.20:502"]
    )
    """Of the I/O module, as of a meter."""
    unit: int = Field(1, ge=0, le=255)
    """Modbus unit of the module."""
    input: int = Field(ge=0, le=65_535, examples=[0])
    """Number of the input, the first is 0."""
    table: Literal["discrete", "coil"] = "discrete"
    """Where the module shows its inputs: discrete inputs (function 2) or coils (function 1)."""
    at_rest: Literal["closed", "open"] = "closed"
    """How the contact is while nothing is limited. Closed: a broken wire limits too."""
    lost_after_s: float = Field(5, ge=1, le=60)
    """A module that is silent for so long counts as a relay that limits. [s]"""


class RepublishSection(Keys):
    """A read-only Modbus TCP server with the site's values; without this section there is none."""

    listen: Listen = Field("127.0.0.1:1502", examples=["0.0.0.0:1502"])
    """Address and port. Modbus knows no passwords: listen on a network that only the PLC reaches."""
    clients: int = Field(8, ge=1, le=64)
    """Connections at the same time."""


class MqttSection(Keys):
    """Publishing over MQTT; without this section nothing is published."""

    url: Annotated[str, AfterValidator(spelling.check_mqtt_url)] = Field(
        examples=["mqtt://127.0.0.1:1883"]
    )
    """Address of the broker: `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` with TLS."""
    username: Label | None = Field(None, examples=["wattkeeper"])
    """User at the broker."""
    password_env: Variable | None = Field(None, examples=["WATTKEEPER_MQTT_PASSWORD"])
    """Name of the environment variable that holds the password."""
    prefix: Annotated[str, AfterValidator(spelling.check_topic)] = "wattkeeper"
    """What every topic begins with; the site's id follows."""
    discovery: Annotated[str, AfterValidator(spelling.check_topic)] | None = Field(
        None, examples=["homeassistant"]
    )
    """Prefix on which Home Assistant listens for devices; absent: none are announced."""
    interval_s: float = Field(5.0, ge=1, le=3600)
    """How often values that have changed are published. [s]"""


class SiteDocument(Keys):
    """A Wattkeeper site file."""

    format: Literal["site/1"] = Field(examples=["site/1"])
    """Version of this format."""
    site: SiteSection = Field(examples=["{id: ..., name: ..., timezone: ...}"])
    """What the site is called and where it stands."""
    meters: dict[Name, MeterEntry] = Field(default_factory=dict)
    """Meters by id."""
    virtual_meters: dict[Name, VirtualMeterEntry] = Field(default_factory=dict)
    """Calculated meters by id; a circuit may name one like any other."""
    circuits: dict[Name, CircuitEntry] = Field(
        min_length=1, examples=["{main: {limit_a: 63, device: mccb}}"]
    )
    """Circuits by id: a tree with the grid connection at its root."""
    stations: dict[StationKey, StationEntry] = Field(default_factory=dict)
    """Charging stations by the OCPP identity that is set in them."""
    station_groups: dict[Name, StationGroupEntry] = Field(
        default_factory=dict,
        examples=["{wallboxes: {configuration: {keys: {LightIntensity: 20}}}}"],
    )
    """Groups of stations by id, and the configuration that they are to keep."""
    loads: dict[Name, LoadEntry] = Field(
        default_factory=dict,
        examples=["{battery: {circuit: main, model: generic/plc, connection: ..., max_a: 16}}"],
    )
    """Batteries, heat pumps and other loads by id whose limit can be set."""
    policy: PolicySection = PolicySection()
    """Thresholds and times of the controller."""
    planning: PlanningSection = PlanningSection()
    """What the planner knows ahead: tariff, demand limits, typical stays."""
    ocpp: OcppSection = OcppSection()
    """The server that stations connect to."""
    uploads: UploadsSection | None = Field(None, examples=["{listen: ...}"])
    """Receives logs and diagnostics of stations."""
    http: HttpSection = HttpSection()
    """The dashboard and the HTTP API."""
    store: StoreSection = StoreSection()
    """The embedded database."""
    influx: InfluxSection | None = Field(None, examples=["{url: ..., org: ..., bucket: ...}"])
    """Upload to InfluxDB."""
    grid_signal: GridSignalSection | None = Field(
        None, examples=["{circuit: main, failsafe_w: 4200}"]
    )
    """What holds when the sender of grid signals falls silent."""
    grid_relays: dict[Name, GridRelayEntry] = Field(
        default_factory=dict,
        max_length=8,
        examples=["{dso: {circuit: main, limit_w: 4200, connection: ..., input: 0}}"],
    )
    """Relays of the grid operator by id, at inputs of Modbus I/O modules."""
    republish: RepublishSection | None = Field(None, examples=['{listen: "0.0.0.0:1502"}'])
    """Read-only Modbus TCP server."""
    mqtt: MqttSection | None = Field(None, examples=["{url: ...}"])
    """Publishing over MQTT."""
    billing: BillingSection | None = Field(None, examples=["{currency: EUR, tariffs: ...}"])
    """What charging costs."""
    notifications: NotificationsSection = NotificationsSection()
    """Who is told of alarms."""
    ocpi: OcpiSection | None = Field(None, examples=["{url: ..., party_id: ...}"])
    """Roaming with other companies."""
    upstream: UpstreamSection | None = Field(None, examples=["{url: ...}"])
    """The operator's back office."""
