"""The composition root: from settings to a running object graph. The only module that knows everything."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from adapters.clock import SystemClock
from adapters.config.loader import SiteFile, load_site_text
from adapters.gridguard import GridGuard, GuardSettings
from adapters.gridrelay import GridRelay, RelaySettings
from adapters.hotconfig import SiteConfiguration
from adapters.hotswap import HotSwap, wirings_of
from adapters.http.first_run import new_setup_code
from adapters.http.server import HttpServer
from adapters.http.settings import HttpSettings
from adapters.influx.settings import InfluxSettings
from adapters.jobs import scheduled
from adapters.loads import LoadMeters, SiteFleet, load_specs, without_loads
from adapters.modbus.catalogue import known_models, load_map
from adapters.modbus.contact import Contact, ContactPlace, Module
from adapters.modbus.loadmap import known_loads
from adapters.modbus.loads import Loads
from adapters.modbus.plausibility import MeterLimits
from adapters.modbus.reader import MeterPoller
from adapters.modbus.registermap import MeterMap
from adapters.mqtt.publisher import MissingLibraryError, MqttPublisher
from adapters.mqtt.settings import MqttSettings
from adapters.notify.notifier import Notifier
from adapters.notify.settings import NotifySettings
from adapters.notifysettings import notify_settings
from adapters.ocpi.settings import OcpiSettings
from adapters.ocpp.book import StationBook
from adapters.ocpp.faulttable import shipped_folder
from adapters.ocpp.quirks import load_catalogue
from adapters.ocpp.server import OcppServer
from adapters.ocpp.settings import OcppSettings
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v16 import V16Dialect
from adapters.ocpp.v21 import V21Dialect
from adapters.ocpp.v201 import V201Dialect
from adapters.pki.authority import Authority
from adapters.pressure import Pressure
from adapters.republish.server import RepublishServer, RepublishSettings
from adapters.siteentry import SiteEntries
from adapters.station_services import StationServices, UploadRun
from adapters.store.limits import StoreLimits
from adapters.store.sqlite_store import SqliteStore
from adapters.upstream.overview import LineOverview
from adapters.upstream.relay import Relay
from adapters.upstream.secrets import LegSecrets
from adapters.upstream.settings import UpstreamSettings
from adapters.upstream.watch import LineWatch
from adapters.vault import Vault
from adapters.watchdog import Watchdog
from controller import persist
from controller.alarms import AlarmBook
from controller.backoffice import BackOfficeLimits
from controller.care import OfflineTokens
from controller.cycle import Cycle
from controller.decision import Alarm, Plan
from controller.desk import Desk, DeskRules
from controller.errors import StoreUnavailableError
from controller.feed import MeterFeed
from controller.image import ProcessImage
from controller.memory import Memory
from controller.operations import Operations
from controller.planner import PlanningSettings
from controller.planning import Planning, Seen
from controller.policy import Policy
from controller.ports import Clock
from controller.reasons import ReasonLog
from controller.rollouts import RolloutDesk
from controller.site import Meter, MeterId, Site, StationId
from controller.strays import Strays
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp

if TYPE_CHECKING:
    # Imported where a site uses them: their libraries take a good part of the start.
    from adapters.influx.uploader import InfluxUploader
    from adapters.ocpi.overview import PartnerOverview
    from adapters.ocpi.server import OcpiServer

log = structlog.get_logger(__name__)

PRUNE_EVERY_S = 600.0
PLAN_TICK_S = 10.0
"""How often demand is booked and a new plan is considered. [s]"""
PLAN_DEADLINE_S = 10.0
REASONS_EVERY_S = 5.0
FILE_EVERY_S = 10.0
ROLLOUTS_EVERY_S = 5.0
LINES_EVERY_S = 10.0
GRID_EVERY_S = 1.0
ASK_AGAIN_S = 3.0
"""Longer than any task takes to say farewell. [s]"""
CERTIFICATES_EVERY_S = 6 * 3600.0
LOCAL_LISTS_EVERY_S = 20.0


class StartError(Exception):
    """The controller cannot start; the text names the place and the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that a controller is started with."""

    site: Site
    policy: Policy
    ocpp: OcppSettings
    http: HttpSettings
    store_path: Path
    influx: InfluxSettings | None
    accept_unknown_tokens: bool
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    offline_tokens: OfflineTokens = OfflineTokens.LISTED
    uploads: UploadRun | None = None
    """None: stations cannot send their logs here."""
    ocpi: OcpiSettings | None = None
    """None: no roaming."""
    upstream: UpstreamSettings | None = None
    """None: no back office."""
    authority: Authority | None = None
    """The own authority, which may not exist yet."""
    store_limits: StoreLimits | None = None
    """None: the default bounds."""
    notify: NotifySettings | None = None
    """Who is told of alarms; None: nobody."""
    file: SiteFile | None = None
    """What all this was read from; without it the configuration cannot be changed while running."""
    mqtt: MqttSettings | None = None
    """None: nothing is published."""
    republish: RepublishSettings | None = None
    """None: there is no Modbus server."""
    grid: GuardSettings | None = None
    """None: no heartbeat of a sender of grid signals is missed."""
    relays: tuple[tuple[RelaySettings, ContactPlace], ...] = ()
    """Relays of the grid operator, and where their contacts are."""


class RunningController:
    """A controller with all its adapters. Use as an async context manager."""

    def __init__(self, settings: RunSettings) -> None:
        """Prepare; nothing is opened before the context is entered."""
        self._settings = settings
        self._clock: Clock = SystemClock()
        self._stack = AsyncExitStack()
        self._groups: Mapping[str, tuple[StationId, ...]] = {}
        self._tasks: asyncio.TaskGroup
        self.alarms = AlarmBook()
        self._reasons = ReasonLog()
        self.setup_code = ""
        """What lets the first account be made from another machine; empty when there are accounts."""
        self.on_plan: Callable[[Plan, tuple[Alarm, ...]], None] = lambda plan, alarms: None
        self.store: SqliteStore
        self.cycle: Cycle
        self.operations: Operations
        self.planning: Planning
        self.stations: StationServices
        self.book: StationBook
        self.ocpp: OcppServer
        self.http: HttpServer
        self.configuration: SiteConfiguration | None = None
        self.notifier = Notifier(
            settings.notify or NotifySettings(site=settings.site.id),
            conditions=self.alarms,
            clock=self._clock,
        )
        self._wirings = wirings_of(settings.site)
        self._meters: asyncio.Task[None] | None = None
        self.pressure = Pressure(conditions=self.alarms, clock=self._clock)
        self.uploader: InfluxUploader | None = None
        self.ocpi: OcpiServer | None = None
        self.relay: Relay | None = None
        self._line_watch: LineWatch | None = None
        self._back_office = BackOfficeLimits()
        self.republish: RepublishServer | None = None
        self.grid: GridGuard | None = None
        self._desk: Desk

    @property
    def site(self) -> Site:
        """The site that it was started with."""
        return self._settings.site

    async def __aenter__(self) -> RunningController:
        """Open the store, restore what was known, start every adapter, and control."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop in the reverse order; chargers keep their leases."""
        await self._stack.aclose()

    async def _start(self) -> None:
        settings, clock = self._settings, self._clock
        self._stack.enter_context(_only_one(settings.store_path))
        self.store = SqliteStore.open(
            settings.store_path,
            conditions=self.alarms,
            clock=clock,
            limits=settings.store_limits,
        )
        self._stack.push_async_callback(self.store.close)
        for alarm in self.alarms.restore(await self.store.open_alarms(), clock.now()):
            await self.store.save_alarm(alarm)
        image = ProcessImage(site=settings.site, clock=clock, wake=self._wake)
        desk = Desk(
            site=settings.site,
            image=image,
            store=self.store,
            clock=clock,
            rules=DeskRules(accept_unknown_tokens=settings.accept_unknown_tokens),
        )
        self.stations = StationServices(
            site=settings.site,
            store=self.store,
            conditions=self.alarms,
            clock=clock,
            authority=settings.authority,
            offline_tokens=settings.offline_tokens,
            uploads=settings.uploads,
        )
        self._desk = desk
        self._relay_upstream()
        self._strays = Strays(conditions=self.alarms, clock=clock)
        desk.report_strays(self._strays)
        self.ocpp = self._ocpp_server(desk)
        self.loads = Loads(post=image.post, conditions=self.alarms, clock=clock)
        fleet = SiteFleet(stations=self.ocpp, loads=self.loads)
        self.cycle = Cycle(
            image=image,
            fleet=fleet,
            store=self.store,
            recorder=self.store,
            alarms=self.alarms,
            clock=clock,
            policy=settings.policy,
            allocate=Allocator().allocate,
            memory=await self._memory(),
            on_plan=self._planned,
        )
        self._watch(self.cycle)
        self.operations = Operations(
            image=image,
            cycle=self.cycle,
            alarms=self.alarms,
            fleet=fleet,
            store=self.store,
            clock=clock,
        )
        await self.operations.restore()
        self._back_office.bind(self.operations)
        await desk.restore()
        self.loads.announce(load_specs(settings.file))
        self.planning = self._planning(image)
        await self.planning.restore()
        await self._guard_grid()
        self._stack.push_async_callback(self.planning.stop)
        await self.stations.restore()
        await self._roll_out(image)
        feed = MeterFeed(image=image, store=self.store, clock=clock)
        await self._serve(LoadMeters(sink=feed, post=image.post, file=settings.file), desk)

    def _watch(self, cycle: Cycle) -> None:
        """Feed systemd's watchdog after every cycle that went through."""
        self._watchdog = Watchdog()
        self._stack.callback(self._watchdog.close)
        cycle.on_success = self._watchdog.alive

    async def _guard_grid(self) -> None:
        """Listen for the sender of grid signals, where the site file names a failsafe limit."""
        if self._settings.grid is not None:
            self.grid = GridGuard(
                self._settings.grid,
                signals=self.planning,
                documents=self.store,
                conditions=self.alarms,
                clock=self._clock,
            )
            await self.grid.restore()

    def _relays(self) -> list[GridRelay]:
        """Return the relays of the grid operator, those at one module on one connection."""
        modules = {p.connection: Module(p.connection) for _, p in self._settings.relays}
        return [
            GridRelay(
                relay,
                contact=Contact(place, modules[place.connection]),
                signals=self.planning,
                conditions=self.alarms,
                clock=self._clock,
            )
            for relay, place in self._settings.relays
        ]

    async def _look_at_grid(self) -> None:
        if self.grid is not None:
            await self.grid.look()

    def _follow_wishes(self, file: SiteFile) -> None:
        """Take over what the site file wants of stations; they follow at their next boot."""
        self.book.desired = file.desired
        self.book.accepted_vendors = file.ocpp.data_transfer
        self._groups = file.groups

    async def _roll_out(self, image: ProcessImage) -> None:
        """Go on with the firmware roll-outs of the last run."""
        self.rollouts = RolloutDesk(
            documents=self.store,
            conditions=self.alarms,
            clock=self._clock,
            actions=self.operations,
            views=image.station_views,
            groups=lambda: self._groups,
        )
        await self.rollouts.restore()
        self.stations.care = replace(self.stations.care, rollouts=self.rollouts)

    async def _serve(self, feed: LoadMeters, desk: Desk) -> None:
        settings, clock = self._settings, self._clock
        await self.ocpp.start()
        self._stack.push_async_callback(self.ocpp.stop)
        stop_uploads = await self.stations.receive_uploads(self.ocpp)
        if stop_uploads is not None:
            self._stack.push_async_callback(stop_uploads)
        scheduler = self._scheduler()
        if settings.file is not None:
            await self._configure(settings.file, feed, desk, scheduler)
        if not await self.store.users():
            self.setup_code = new_setup_code()
        self.http = HttpServer(
            settings=settings.http,
            control=self.operations,
            store=self.store,
            clock=clock,
            setup_code=self.setup_code,
            planning=self.planning,
            configuration=self.configuration,
            care=self.stations.care,
            notifications=self.notifier,
            partners=self._partners(),
            upstream=None if self.relay is None else LineOverview(self.relay, self.store),
            sheds=self._sheds,
            grid=self.grid,
        )
        self.http.start()
        self._stack.push_async_callback(asyncio.to_thread, self.http.stop)
        self._serve_partners()
        await self._serve_plcs()
        self._poll(settings.site, feed)
        self.loads.start()
        self._stack.push_async_callback(self.loads.stop)
        self._stack.push_async_callback(self._stop_polling)
        work = [self._run(self.cycle.run(), "cycle"), self._run(self.notifier.run(), "notify")]
        if settings.influx is not None:
            from adapters.influx.uploader import InfluxUploader

            self.uploader = InfluxUploader(
                settings=settings.influx,
                spool=self.store,
                conditions=self.alarms,
                clock=clock,
                sheds=self._sheds,
            )
            work.append(self._run(self.uploader.run(), "influx"))
        if settings.mqtt is not None:
            work.append(self._run(self._publisher(settings.mqtt).run(), "mqtt"))
        work += [self._run(r.follow(), r.id) for r in self._relays()]
        self.operations.figures = self._figures
        self.pressure.start()
        self._stack.callback(self.pressure.stop)
        self._stack.push_async_callback(_cancelled, work)
        scheduler.start()
        self._stack.callback(scheduler.shutdown, wait=False)
        self.cycle.wake("start")
        self._watchdog.ready()

    def _scheduler(self) -> AsyncIOScheduler:
        """Return the timed jobs, not yet started."""
        return scheduled(
            {
                "tick": (self._settings.policy.interval_s, lambda: self.cycle.wake("tick")),
                "plan": (PLAN_TICK_S, self.planning.tick),
                "prune": (PRUNE_EVERY_S, self._prune),
                "reasons": (REASONS_EVERY_S, self._keep_reasons),
                "certificates": (CERTIFICATES_EVERY_S, self.stations.renew_certificates),
                "local lists": (LOCAL_LISTS_EVERY_S, self.stations.lists.refresh),
                "configuration": (FILE_EVERY_S, self._look_at_file),
                "rollouts": (ROLLOUTS_EVERY_S, self.rollouts.tick),
                "back office": (LINES_EVERY_S, self._look_at_lines),
                "grid": (GRID_EVERY_S, self._look_at_grid),
            }
        )

    # --- configuration ----------------------------------------------------------------------------

    async def _configure(
        self, file: SiteFile, feed: LoadMeters, desk: Desk, scheduler: AsyncIOScheduler
    ) -> None:
        """Let the configuration be changed while the controller runs."""

        def tick(interval_s: float) -> None:
            scheduler.reschedule_job("tick", trigger="interval", seconds=interval_s)

        def follow(after: SiteFile) -> None:
            self.notifier.configure(notify_settings(after))
            self.stations.adoption.follow(after.site)
            self._follow_wishes(after)
            feed.follow(after)
            self._run(self.loads.follow(load_specs(after)), "loads")

        host = HotSwap(
            site=file.site,
            cycle=self.cycle,
            desk=desk,
            ocpp=self.ocpp,
            wirings=self._wirings,
            clock=self._clock,
            poll=lambda site: self._poll(site, feed),
            tick=tick,
            notify=follow,
            plan=self.planning.reconfigure,
        )
        models, loads = known_models(), known_loads()
        self.configuration = SiteConfiguration(
            file,
            load=lambda text: load_site_text(
                text, file.file, known_models=models, known_loads=loads
            ),
            host=host,
            store=self.store,
            conditions=self.alarms,
            clock=self._clock,
        )
        await self.configuration.begin()
        self.stations.adoption.write_with(SiteEntries(self.configuration))
        self._stack.push_async_callback(self.configuration.close)

    async def _look_at_lines(self) -> None:
        if self._line_watch is not None:
            self._line_watch.look()

    async def _look_at_file(self) -> None:
        if self.configuration is not None:
            await self.configuration.look_at_file()

    def _poll(self, site: Site, feed: LoadMeters) -> None:
        """Poll the meters of a site instead of those polled so far."""
        poller = MeterPoller(meters=_meters(site), sink=feed, clock=self._clock)
        if self._meters is not None:
            self._meters.cancel()
        self._meters = self._run(poller.run(), "meters")

    async def _stop_polling(self) -> None:
        if self._meters is not None:
            await _cancelled([self._meters])

    def _relay_upstream(self) -> None:
        """Stand between stations and the operator's back office."""
        settings = self._settings
        if settings.upstream is None:
            return
        secrets = LegSecrets(
            documents=self.store,
            vault=Vault.open(self._key_file()),
            variable=settings.upstream.password_env,
            now=self._clock.now,
        )
        self.relay = Relay(
            settings=settings.upstream,
            site=settings.site,
            store=self.store,
            documents=self.store,
            limiter=self._back_office,
            clock=self._clock,
            secret=secrets.secret,
            keep_secret=secrets.keep,
        )
        self._stack.push_async_callback(self.relay.close)
        self._line_watch = LineWatch(self.relay.states, conditions=self.alarms, clock=self._clock)

    def _key_file(self) -> Path:
        store = self._settings.store_path
        return store.with_name(store.name + ".partners.key")

    def _partners(self) -> PartnerOverview | None:
        ocpi = self._settings.ocpi
        if ocpi is None:
            return None
        from adapters.ocpi.overview import PartnerOverview

        return PartnerOverview(documents=self.store, url=ocpi.url, clock=self._clock)

    def _serve_partners(self) -> None:
        settings = self._settings
        if settings.ocpi is None:
            return
        from adapters.ocpi.server import OcpiListenError, OcpiServer

        self.ocpi = OcpiServer(
            settings=settings.ocpi,
            site=without_loads(settings.site),
            control=self.operations,
            store=self.store,
            documents=self.store,
            clock=self._clock,
            key_file=self._key_file(),
        )
        try:
            self.ocpi.start()
        except OcpiListenError as error:
            raise StartError(str(error)) from error
        self._stack.push_async_callback(asyncio.to_thread, self.ocpi.stop)
        self._desk.ask_partners(self.ocpi)

    async def _serve_plcs(self) -> None:
        if self._settings.republish is None:
            return
        self.republish = RepublishServer(
            settings=self._settings.republish, control=self.operations, clock=self._clock
        )
        await self.republish.start()
        self._stack.push_async_callback(self.republish.stop)

    def _publisher(self, settings: MqttSettings) -> MqttPublisher:
        try:
            return MqttPublisher(settings=settings, control=self.operations, conditions=self.alarms)
        except MissingLibraryError as error:
            raise StartError(str(error)) from error

    # --- parts ------------------------------------------------------------------------------------

    def _wake(self, reason: str) -> None:
        self.cycle.wake(reason)

    def _run(self, work: object, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)  # type: ignore[arg-type]
        task.add_done_callback(_log_death)
        return task

    def _planned(self, plan: Plan, changes: tuple[Alarm, ...]) -> None:
        self._reasons.see(plan)
        self.notifier.post(changes)
        self.on_plan(plan, changes)

    async def _keep_reasons(self) -> None:
        changes = self._reasons.drain()
        if not changes:
            return
        try:
            await self.store.put_reasons(changes)
        except StoreUnavailableError as error:
            log.warning("reasons.unsaved", error=str(error))

    def _planning(self, image: ProcessImage) -> Planning:
        horizon = HorizonLp()
        return Planning(
            image=image,
            look=self._seen,
            solve=lambda problem: horizon.plan(problem, deadline_s=PLAN_DEADLINE_S),
            store=self.store,
            alarms=self.alarms,
            clock=self._clock,
            settings=self._settings.planning,
        )

    def _seen(self) -> Seen | None:
        plan, snapshot = self.cycle.plan, self.cycle.snapshot
        if plan is None or snapshot is None:
            return None
        return Seen(snapshot=snapshot, plan=plan, memory=self.cycle.memory)

    def _figures(self) -> dict[str, float]:
        """Return the figures of the store and of the upload. Read from any thread."""
        figures = dict(self.store.stats()) | self.pressure.figures()
        if self.uploader is not None:
            figures |= {f"upload_{name}": value for name, value in self.uploader.stats().items()}
        return figures

    def _sheds(self) -> bool:
        """Tell whether memory or processor time is short. Read from any thread."""
        return self.pressure.is_shedding

    async def _prune(self) -> None:
        self.book.expire()
        self._strays.expire()
        await self.stations.prune()
        await self.store.prune(self._clock.now())

    async def _memory(self) -> Memory:
        text = await self.store.load_memory()
        if text is None:
            return Memory()
        try:
            return persist.memory_from_text(
                text, now_s=self._clock.monotonic_s(), at=self._clock.now()
            )
        except ValueError as error:
            log.warning("memory.damaged", error=str(error))
            return Memory()

    def _ocpp_server(self, desk: Desk) -> OcppServer:
        policy = self._settings.policy
        dialect = DialectSettings(
            sample_interval_s=round(policy.sample_interval_s),
            command_timeout_s=policy.command_timeout_s,
            wirings=self._wirings,
        )
        clock = self._clock
        book = StationBook(
            clock=clock,
            documents=self.store,
            sink=self.alarms,
            catalogue=load_catalogue(shipped_folder("chargers")),
        )
        self.book = book
        if self._settings.file is not None:
            self._follow_wishes(self._settings.file)
        relays = (self.relay,) if self.relay is not None else ()
        return OcppServer(
            settings=self._settings.ocpp,
            desk=desk,
            store=self.store,
            conditions=self.alarms,
            clock=clock,
            on_stranger=self.stations.adoption.note,
            extensions=(*self.stations.extensions, *relays),
            taps=relays,
            dialects={
                "ocpp1.6": lambda c: V16Dialect(
                    c, desk=desk, clock=clock, settings=dialect, book=book
                ),
                "ocpp2.0.1": lambda c: V201Dialect(
                    c, desk=desk, clock=clock, settings=dialect, book=book
                ),
                "ocpp2.1": lambda c: V21Dialect(
                    c, desk=desk, clock=clock, settings=dialect, book=book
                ),
            },
        )


def _meters(site: Site) -> list[tuple[Meter, MeterMap, MeterLimits]]:
    """Return each meter with its map and the rating of the circuit that it measures."""
    rating: dict[MeterId, float] = {
        c.meter: max(c.limit_a) for c in site.circuits.values() if c.meter is not None
    }
    return [
        (
            meter,
            _map_of(meter),
            MeterLimits(max_a=rating.get(meter.id, 1000.0), nominal_v=site.voltage_v),
        )
        for meter in site.meters.values()
    ]


def _map_of(meter: Meter) -> MeterMap:
    try:
        return load_map(meter.model).deviating(
            word_order=meter.word_order, register_offset=meter.register_offset
        )
    except ValueError as error:
        raise StartError(f"meters.{meter.id}: {error}") from error


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """End tasks. A library may lose a cancellation (`asyncio.wait_for` of Python 3.11 does): ask again."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_S)


def _log_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("task.died", task=task.get_name(), error=repr(task.exception()))


def _why(error: OSError) -> str:
    """Return what is wrong in words: a file in the place of a folder says `File exists`."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is not a folder"
    return error.strerror or str(error)


class _only_one:  # noqa: N801 - reads as a statement
    """Hold the site's lock: two controllers on one site would undo each other's limits."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a")
        except OSError as error:
            raise StartError(
                f"{self._path.parent}: the store cannot be written: {_why(error)}. "
                "Change store.path in the site file, or the folder's owner."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StartError(
                f"{self._path}: another controller runs on this store. Stop it first."
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
