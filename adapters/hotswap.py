"""Puts a changed site in force while the controller runs: whom it concerns, and in which order."""

from __future__ import annotations

from collections.abc import Callable

from adapters.config.loader import SiteFile
from adapters.config.settings import UnknownTokens
from adapters.ocpp.server import OcppServer
from adapters.ocpp.translation import EvseWiring
from controller.cycle import Cycle, CycleStats
from controller.decision import ReasonCode
from controller.desk import Desk, DeskRules
from controller.planner import PlanningSettings
from controller.ports import Clock
from controller.site import Evse, EvseId, Site, Station


class HotSwap:
    """The running controller as a change of the configuration sees it. Implements `Host`."""

    def __init__(
        self,
        *,
        site: Site,
        cycle: Cycle,
        desk: Desk,
        ocpp: OcppServer,
        wirings: dict[EvseId, EvseWiring],
        clock: Clock,
        poll: Callable[[Site], None],
        tick: Callable[[float], None],
        notify: Callable[[SiteFile], None],
        plan: Callable[[PlanningSettings], None],
    ) -> None:
        """Swap parts of a running controller.

        Args:
            site: In force now.
            cycle: The control loop.
            desk: What stations report to.
            ocpp: The stations' server.
            wirings: What the dialects know of EVSEs; changed in place.
            clock: Time.
            poll: Polls the meters of a site instead of those polled so far.
            tick: Sets the interval of the control loop. [s]
            notify: Tells those of alarms whom a site file names.
            plan: Goes on planning with other settings.
        """
        self._site = site
        self._cycle = cycle
        self._desk = desk
        self._ocpp = ocpp
        self._wirings = wirings
        self._clock = clock
        self._poll = poll
        self._tick = tick
        self._notify = notify
        self._plan = plan

    @property
    def stats(self) -> CycleStats:
        """Figures of the control loop."""
        return self._cycle.stats

    async def apply(self, file: SiteFile) -> None:
        """Put a site and policy in force between two cycles."""
        before, after = self._site, file.site
        is_free = file.ocpp.unknown_tokens is UnknownTokens.ACCEPT
        self._wirings.update(wirings_of(after))
        await self._cycle.reconfigure(after, file.policy)
        self._site = after
        self._desk.rebuild(after, DeskRules(accept_unknown_tokens=is_free))
        for evse in [e for e in self._wirings if after.evse(e) is None]:
            del self._wirings[evse]
        if (before.meters, _metered(before)) != (after.meters, _metered(after)):
            self._poll(after)
        self._tick(file.policy.interval_s)
        self._notify(file)
        self._plan(file.planning)
        self._ocpp.renew(
            name
            for name, station in before.stations.items()
            if _must_come_anew(station, after.stations.get(name))
        )

    def in_use(self, site: Site) -> tuple[str, ...]:
        """Name the EVSEs that a site lacks and that may still draw current, with the reason."""
        plan = self._cycle.plan
        found = []
        for evse in self._site.evses():
            if site.evse(evse.id) is not None:
                continue
            status = plan.evses.get(evse.id) if plan is not None else None
            if status is not None and status.transaction is not None:
                is_paused = status.reason.code is ReasonCode.PAUSED
                told = "is paused and keeps its session" if is_paused else "has a running session"
                found.append(f"{evse.id} {told}")
            elif self._is_granted(evse):
                found.append(f"{evse.id} holds a lease above its fallback")
        return tuple(found)

    def _is_granted(self, evse: Evse) -> bool:
        account = self._cycle.memory.evse(evse.id).account
        now_s = self._clock.monotonic_s()
        return any(g.limit_a > evse.fallback_a and not g.is_over(now_s) for g in account.grants)

    def warnings(self, site: Site) -> tuple[str, ...]:
        """Say what a site takes for granted that stations out of reach do not know yet."""
        plan = self._cycle.plan
        if plan is None:
            return ()
        return tuple(
            f"{e.id} is out of reach and keeps its fallback of {old.fallback_a:g} A until it "
            "connects again; the certificate counts on the new one"
            for e in site.evses()
            if (old := self._site.evse(e.id)) is not None
            and e.fallback_a < old.fallback_a
            and (status := plan.evses.get(e.id)) is not None
            and not status.connected
        )


def wirings_of(site: Site) -> dict[EvseId, EvseWiring]:
    """Return how the EVSEs of a site are built, for the dialects."""
    return {
        e.id: EvseWiring(
            phases=e.phases,
            max_a=e.max_a,
            min_a=e.min_a,
            voltage_v=site.voltage_v,
            dc_w_per_a=e.dc_w_per_a,
        )
        for e in site.evses()
    }


def _metered(site: Site) -> list[tuple[object, ...]]:
    """Return what the plausibility of readings depends on."""
    found = [(c.meter, max(c.limit_a)) for c in site.circuits.values() if c.meter is not None]
    return [*sorted(found), (site.voltage_v,)]


def _must_come_anew(before: Station, after: Station | None) -> bool:
    """Tell whether a station has to be provisioned again, or may no longer be here."""
    return after is None or _provisioned(before) != _provisioned(after)


def _provisioned(station: Station) -> list[tuple[object, ...]]:
    return [(e.number, e.fallback_a, e.phases, e.max_a) for e in station.evses]
